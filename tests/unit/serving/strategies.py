"""Tables, requests and queues of all kinds."""

from math import inf

from hypothesis import strategies as st

from ddnn_runtime.serving.policy import allowed
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.table import Table

NAMES = ("shallow", "middle", "full")
TABLE = Table(
    (1, 2, 4, 8, 16),
    {
        "shallow": (0.0014, 0.0024, 0.0044, 0.0084, 0.0164),
        "middle": (0.0028, 0.0048, 0.0088, 0.0168, 0.0328),
        "full": (0.0042, 0.0072, 0.0132, 0.0252, 0.0492),
    },
    {"shallow": 0.80, "middle": 0.86, "full": 0.88},
)
"""Three nets of which the full one takes three times as long as the shallowest."""


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any table: deeper nets need not be slower, or better."""
    names = NAMES[-draw(st.integers(1, 3)) :]
    batches = draw(st.sampled_from([(1,), (1, 2, 4), (1, 3, 16)]))
    row = st.tuples(*[st.floats(1e-4, 1.0)] * len(batches))
    return Table(
        batches,
        {name: draw(row) for name in names},
        {name: draw(st.none() | st.floats(0, 1)) for name in names},
        draw(st.none() | row),
        draw(st.none() | st.floats(0, 1)),
    )


@st.composite
def traces(draw: st.DrawFn, table: Table, most: int = 12) -> list[Request]:
    """Requests in the order in which they come; some ask for what there is not."""
    found, now = [], 0.0
    for number in range(draw(st.integers(0, most))):
        now += draw(st.sampled_from([0.0, 0.001, 0.5]) | st.floats(0, 6))
        found.append(
            Request(
                number,
                now,
                now + draw(st.just(inf) | st.floats(0, 5)),
                draw(st.integers(1, table.largest + 1)),
                draw(st.none() | st.sampled_from(NAMES)),
                draw(st.just(0.0) | st.floats(0, 1)),
                draw(st.booleans()),
            )
        )
    return found


@st.composite
def queues(draw: st.DrawFn) -> tuple[Table, list[Request], float]:
    """A table, what may wait when it is the policy's turn, ordered by urgency, and the time."""
    table = draw(tables())
    trace = draw(traces(table).filter(lambda found: bool(admissible(found, table))))
    queue = sorted(admissible(trace, table), key=lambda request: request.urgency)
    return table, queue, trace[-1].arrived + draw(st.just(0.0) | st.floats(0, 10))


def admissible(trace: list[Request], table: Table) -> list[Request]:
    """Those that a queue may hold."""
    return [request for request in trace if allowed(request, table) and request.images <= table.largest]
