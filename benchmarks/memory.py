"""How much memory training takes at its highest point: each step in a fresh process, so that nothing else counts.

Counted are weights, gradients, the optimizer's state, images and what is kept for the backward pass, in the second and
third step (the first one makes the optimizer's state), less what the process held before anything was built. By then a
tiny network had taken a step, so that libraries, threads and workspaces were there.

On CUDA that is `torch.cuda.max_memory_allocated`. On a CPU it is the highest resident size of the process, `VmHWM` of
Linux's /proc (`ru_maxrss` would do no good, for a child inherits its parent's). glibc keeps much of what is freed, and
more the larger the blocks that it has seen; a fixed threshold makes it map each block of 64 KiB or more by itself and
hand it back when it is freed, so that what counts is what is in use, as on CUDA. Checked against the sum of all tensors
that torch's profiler saw: 2 % above it for {ResNet-18, 34}, and the same to 0.1 % in each run. Of compiled steps on a
CPU it cannot be said, because compilers run in the same process.
"""

import gc
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import torch

from ddnn.measuring.peak_memory import resident_bytes
from settings import Setting
from steps import Maker, Problem, ekd

MIB = 2**20

_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(64 * 1024), "MALLOC_TRIM_THRESHOLD_": str(64 * 1024)}
_TINY = Problem("resnet14", ("resnet8",), side=32, batch=2)


def measurable(setting: Setting) -> bool:
    """Whether the memory of a step can be told from that of what prepares it."""
    return setting.device == "cuda" or not setting.compile


def peaks(makers: Mapping[str, Maker], setting: Setting) -> dict[str, int]:
    """Highest memory of each step in bytes. The makers have to be picklable."""
    return {name: _in_fresh_process(make, setting) for name, make in makers.items()}


def rows(taken: Mapping[str, int], reference: str) -> list[dict[str, Any]]:
    """A row for each step, with the ratio to one of them."""
    return [
        {"step": name, "peak_mib": size / MIB, f"over {reference}": size / taken[reference]}
        for name, size in taken.items()
    ]


def _in_fresh_process(make: Maker, setting: Setting) -> int:
    with _environment(_MALLOC), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak, make, setting).result()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for processes that start inside."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            del os.environ[name]
        os.environ.update(before)


def _peak(make: Maker, setting: Setting) -> int:
    ekd(_TINY, setting)()
    gc.collect()
    before = _held(setting, highest=False)
    step = make(setting)
    step()
    if setting.device == "cuda":
        torch.cuda.reset_peak_memory_stats()  # compilers try things in the first step
    step()
    step()
    return _held(setting, highest=True) - before


def _held(setting: Setting, *, highest: bool) -> int:
    """Bytes that this process holds, or has held at most."""
    if setting.device == "cuda":
        return torch.cuda.max_memory_allocated() if highest else torch.cuda.memory_allocated()
    held = resident_bytes("VmHWM" if highest else "VmRSS")
    if held is None:
        raise OSError("this system does not say what a process holds, so memory on the CPU cannot be measured")
    return held
