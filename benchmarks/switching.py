"""What it costs to choose a net: time and bytes of `net(x, name)` over calling the chosen module itself.

The nets here compute nothing, so that nothing but the choice is left. Each call chooses another net than the one
before it.
"""

import gc
import tracemalloc
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import ddnn
from settings import Setting
from timing import Work, interleaved, quartiles

TURNS, CALLS = 60, 2000
BYTES_CALLS = 1000


class Nothing(nn.Module):
    """A classifier that gives back its input."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(nn.Identity(), nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return self.stage(x)


def ways(setting: Setting) -> tuple[Work, dict[str, Work]]:
    """Calling two modules in turn, and ways to choose them by name each time."""
    x = torch.zeros(1, 2)
    network = setting.place(ddnn.from_model(Nothing(), ["stage"], {"half": (1,)}, example=x).eval())
    x = x.to(setting.device)
    half, full = network["half"], network["full"]

    def modules() -> None:
        half(x)
        full(x)

    def by_call() -> None:
        network(x, "half")
        network(x, "full")

    def by_item() -> None:
        network["half"](x)
        network["full"](x)

    return modules, {"net(x, name)": by_call, "net[name](x)": by_item}


def time_rows(setting: Setting) -> list[dict[str, Any]]:
    """Microseconds that a choice adds to a call, the median and quartiles over the turns."""
    modules, others = ways(setting)
    seconds = interleaved({"module(x)": modules, **others}, TURNS, calls=CALLS)
    return [_time_row(way, seconds[way], seconds["module(x)"]) for way in others]


def _time_row(way: str, chosen: list[float], direct: list[float]) -> dict[str, Any]:
    added = [1e6 * (one - other) / 2 for one, other in zip(chosen, direct, strict=True)]
    low, high = quartiles(added)
    return {"over module(x)": way, "added_us": median(added), "low_us": low, "high_us": high}


def byte_rows(setting: Setting) -> list[dict[str, Any]]:
    """Bytes of Python objects and of tensors that two calls allocate, choice included."""
    modules, others = ways(setting)
    works = {"module(x)": modules, **others}
    return [{"two calls": way, **python_bytes(work), **tensor_bytes(work)} for way, work in works.items()]


def python_bytes(work: Work) -> dict[str, int]:
    """What a thousand runs leave behind (some tens of bytes are the measurement's own), and the most that one holds."""
    tracemalloc.start()
    _repeat(work)  # fills the interpreter's own stores of frames and tuples, which it would keep anyway
    before, _ = tracemalloc.get_traced_memory()
    _repeat(work)
    after, _ = tracemalloc.get_traced_memory()
    gc.collect()  # empties them, so that they do not hide what one run takes
    tracemalloc.reset_peak()
    base, _ = tracemalloc.get_traced_memory()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"python_kept_after_1000": after - before, "python_peak": peak - base}


def _repeat(work: Work) -> None:
    for _ in range(BYTES_CALLS):
        work()


def tensor_bytes(work: Work) -> dict[str, int]:
    """What torch's allocators gave out in a thousand runs."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        _repeat(work)
    given = (event.cpu_memory_usage + event.device_memory_usage for event in profiled.events() or [])
    return {"tensors_in_1000": sum(size for size in given if size > 0)}
