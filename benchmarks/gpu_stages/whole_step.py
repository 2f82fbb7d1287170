"""A whole training step as one CUDA graph, and what a step takes of the card: memory, and time in which it works."""

import gc
from collections.abc import Callable
from statistics import median

import torch
from torch.autograd import DeviceType  # pyright: ignore[reportPrivateImportUsage]
from torch.profiler import ProfilerActivity, profile

from settings import Setting
from steps import Iteration, Maker
from timing import Work, seconds_of, synchronize

WARM_UP, PROFILED = 3, 3


def captured(step: Work) -> Work:
    """The step as a CUDA graph: one launch for all its kernels, so that nothing waits for Python. As it is on a CPU.

    The step must do the same each time: forward, backward and update of tensors that stay where they are.
    """
    if not torch.cuda.is_available():
        return step
    warm_up(step)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay(kept: Work = step) -> None:  # whose tensors the graph reads and writes
        del kept
        graph.replay()

    return replay


def warm_up(step: Work) -> None:
    """What libraries do when they are first called cannot be captured; torch asks for a stream beside the usual one."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)


def made(make: Maker, setting: Setting) -> tuple[Iteration, float | None]:
    """A step that has run twice, and the most memory that it took then, in MiB; None on a CPU."""
    gc.collect()
    if setting.device != "cuda":
        step = make(setting)
        step()
        return step, None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step = make(setting)
    step()
    torch.cuda.reset_peak_memory_stats()  # compilers try things in the first step
    step()
    return step, (torch.cuda.max_memory_allocated() - before) / 2**20


def busy_seconds(step: Work) -> float:
    """Seconds that the card works in a step, by torch's profiler: the kernels' times, without what is between them."""
    step()
    synchronize()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities) as seen:
        for _ in range(PROFILED):
            step()
        synchronize()
    kernels = [event for event in seen.events() or [] if event.device_type == DeviceType.CUDA]
    own = [event for event in kernels if not getattr(event, "is_user_annotation", False)]
    return sum(event.time_range.elapsed_us() for event in own) / 1e6 / PROFILED


def busy_share(step: Work, turns: int = 3, calls: int = 3) -> tuple[float, float]:
    """Seconds that the card works in a step, and their share of the step; the rest waits for Python."""
    busy = busy_seconds(step)
    return busy, min(1.0, busy / median(seconds_of(step, calls) for _ in range(turns)))


Captured = Callable[[Work], Work]
MODES: dict[str, Captured] = {"eager": lambda step: step, "graph": captured}
"""How a step is run, by what tables call it."""
