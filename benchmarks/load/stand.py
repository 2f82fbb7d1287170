"""Where all is measured: the servers that run, the clients, and the ways to answer that are compared."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ddnn_runtime.manifest import Manifest
from ddnn_runtime.serving.traces import bursts, poisson
from load import servers
from load.clients import Clients, Found
from load.pictures import as_json, written
from load.servers import Server

OURS = "chosen under load"
IMAGES = 1000


@dataclass(frozen=True)
class Way:
    """A way to answer.

    Args:
        name: for tables.
        server: that does it.
        net: that answers where an answer does not name one.
        headers: of each request.
        images: other files than usual.
    """

    name: str
    server: Server
    net: str
    headers: dict[str, str]
    images: Path | None = None


@dataclass(frozen=True)
class Stand:
    """All that is measured.

    Args:
        ways: to answer, ours first.
        clients: who ask.
        accuracies: of the nets, shallow to deep.
    """

    ways: list[Way]
    clients: Clients
    accuracies: dict[str, float]

    @property
    def full(self) -> str:
        """The full net."""
        return list(self.accuracies)[-1]

    def ask(self, way: Way, times: Sequence[float]) -> Found:
        """Open loop, from a moment on at which nothing else is to be done."""
        self.settle(way)
        return self.clients.ask(way.server, times, way.headers, images=way.images)

    def carried(self, way: Way, seconds: float) -> float:
        """Answers a second without deadlines."""
        self.settle(way)
        return self.clients.carried(way.server, seconds, way.headers, images=way.images)

    def settle(self, way: Way) -> None:
        """Let its server alone run, and wait until an answer is in time: what was left of the load before is done."""
        for other in self.ways:
            other.server.rest(resting=other.server is not way.server)
        for _ in range(30):
            found = self.clients.ask(way.server, [0.0], way.headers, images=way.images)
            if found.attained:
                return


@contextmanager
def built(export: str, data: str | None, deadline_ms: float, peers: Sequence[str]) -> Iterator[Stand]:
    """Start everything; all but the one that is asked rest.

    Args:
        export: what is served.
        data: labelled images, parquet:PATH; None means noise.
        deadline_ms: of each request.
        peers: other servers beside ours, of `plain` and `lit`, and `late` for ours without refusals.

    Raises:
        DDNNError: a server does not start, or data cannot be read.
    """
    manifest = Manifest.read(Path(export))
    serving, asking = servers.parted(1)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="ddnn-load-")))
        labels = written(data, IMAGES, manifest.input_shape, scratch / "images")
        clients = Clients(scratch / "images", labels, asking, deadline_ms, max(2.0, deadline_ms / 100), scratch)

        def start(kind: str, *options: str) -> Server:
            port = servers.free_port()
            known = {"plain": servers.plain, "lit": servers.lit}
            command, ready = known[kind](export, port) if kind in known else servers.ours(export, port, *options)
            return stack.enter_context(servers.running(command, port, ready, serving, scratch / f"{kind}.log"))

        full, ours = manifest.full, start("ours")
        ways = [
            Way(OURS, ours, full, {}),
            *(Way(f"{net} alone", ours, net, {"X-Subnet": net}) for net in manifest.nets),
        ]
        if "late" in peers:
            ways.append(
                Way(f"{full}, never refused", start("late", "--policy", "fixed", "--late", "shallowest"), full, {})
            )
        if "plain" in peers:
            ways.append(Way(f"plain starlette, {full}", start("plain"), full, {}))
        if "lit" in peers:
            images, kind = as_json(scratch / "images", scratch / "json"), {"Content-Type": "application/json"}
            ways.append(Way(f"LitServe, {full}", start("lit"), full, kind, images))
        yield Stand(ways, clients, {name: net.accuracy or 0.0 for name, net in manifest.nets.items()})


def trace(shape: str, rate: float, seconds: float, seed: int) -> list[float]:
    """Times of requests, Poisson or in bursts."""
    return {"poisson": poisson, "bursts": bursts}[shape](rate, max(1, round(rate * seconds)), seed)
