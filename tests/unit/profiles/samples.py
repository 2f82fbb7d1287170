"""A profile made by hand, and a subject that needs no network."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ddnn.errors import DDNNError
from ddnn.profiles.profile import Condition, Figures, Measured, NetFacts, Profile
from ddnn.profiles.subject import Accuracies, Subject
from ddnn_runtime.latency import Work

EAGER = Condition("eager", "fp32", 1, (32, 32), 1)
ONNX = Condition("onnx", "fp32", 8, (32, 32), 2)


def figures(milliseconds: float, memory: float | None = 100.0) -> Figures:
    library = None if memory is None else 60.0
    return Figures(1000, milliseconds, 2 * milliseconds, 0.5, 20, 1e3 / milliseconds, memory, library)


def sample(measured: Sequence[Measured] | None = None, accuracies: tuple[float | None, float | None] = (0.9, 0.95),
           **changes: Any) -> Profile:  # fmt: skip
    nets = {
        "small": NetFacts((1, 1), 100, 400, accuracies[0]),
        "full": NetFacts((2, 2), 300, 1200, accuracies[1]),
    }
    usual = [
        Measured(EAGER, {"small": figures(2.0), "full": figures(4.0, 120.0)}),
        Measured(ONNX, {"small": figures(1.0, 80.0), "full": figures(3.0, None)}),
    ]
    values = {
        "source": "runs/x",
        "weights": "abc",
        "full": "full",
        "nets": nets,
        "image_size": (32, 32),
        "shared_file_bytes": 1300,
        "accuracy_of": "test images of x",
        "device_name": "Board",
        "device": "cpu",
        "software": {"torch": "2"},
        "date": "2026-01-01T00:00:00+00:00",
        "measured": usual if measured is None else measured,
    }
    return Profile(**{**values, **changes})


class Sample(Subject):
    """Nets whose calls do nothing."""

    names = ("small", "full")
    channels, image_size = 3, (32, 32)
    device, weights, shared_file_bytes, packages = "cpu", "abc", 1300, ("numpy",)
    usual_runtimes = ("eager", "onnx")

    def __init__(self, possible: Mapping[str, tuple[str, ...]], missing: Sequence[str] = ()) -> None:
        self.possible, self.missing = possible, missing

    def accuracies(self) -> Accuracies | None:
        return None

    def facts(self, name: str, accuracy: float | None) -> NetFacts:
        return {"small": NetFacts((1, 1), 100, 400, accuracy), "full": NetFacts((2, 2), 300, 1200, accuracy)}[name]

    def macs(self, name: str, image_size: tuple[int, int]) -> int:
        return 1000

    def precisions(self, runtime: str) -> tuple[str, ...]:
        if runtime in self.missing:
            raise DDNNError(f"{runtime} is not installed")
        return self.possible.get(runtime, ())

    @contextmanager
    def works(self, condition: Condition, names: Sequence[str]) -> Iterator[Mapping[str, Work]]:
        yield {name: lambda: None for name in names}

    def probe(self, name: str, condition: Condition) -> dict[str, Any]:
        return {}
