"""What somebody might write into a JSON file, and seal: values of other kinds, huge ones, ones that lead elsewhere."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Place = tuple[str | int, ...]

HOSTILE = st.one_of(
    st.sampled_from(
        [
            None, True, False, -1, 0, 1, 2, 3, 10**4, 10**9, 10**18, 2**63, 10**400, -(10**18), 0.5, 1e308,
            float("nan"), float("inf"), "", "nan", "../../etc/passwd", "/etc/passwd", "a/../b", "\x00", "x" * 5000,
            "resnet8", "resnet14", "images", "logits", "layer1", [], {}, [[]], [10**18] * 3, [1, 1, 1], [2, 2, 2],
            {"a": {"b": 1}},
        ]
    ),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-2, 4), max_size=4),
)  # fmt: skip


def places(document: Any, path: Place = ()) -> Iterator[Place]:
    """Where there is a value."""
    yield path
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    for key, value in inner:
        yield from places(value, (*path, key))


@st.composite
def spoilt(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """A document with one to three values replaced, left out, put in place of each other, or added."""
    changed = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        *path, key = draw(st.sampled_from([place for place in places(changed) if place]))
        parent = _at(changed, path)
        match draw(st.sampled_from(["replace", "replace", "replace", "drop", "copy", "add"])):
            case "replace":
                parent[key] = deepcopy(draw(HOSTILE))
            case "drop":
                del parent[key]
            case "copy":
                parent[key] = deepcopy(_at(changed, draw(st.sampled_from(list(places(changed))))))
            case "add" if isinstance(parent, dict):
                parent[draw(st.sampled_from(["extra", "a b", "../x", "resnet20", "0"]))] = deepcopy(parent[key])
            case _:
                parent.append(deepcopy(draw(HOSTILE))) if isinstance(parent, list) else None
    return changed


def _at(document: Any, path: Any) -> Any:
    for key in path:
        document = document[key]
    return document
