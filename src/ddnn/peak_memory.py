"""The highest memory that a piece of work takes on a device."""

import contextlib
import gc
import os
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure anew, without what an earlier piece of work has left for the garbage collector."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # not there, or not allowed
            _CLEAR.write_text("5")  # of all values, the one that resets VmHWM (Linux, proc_pid_clear_refs(5))


def peak_memory_mb(device: torch.device) -> float | None:
    """The highest memory since `reset_peak_memory`, in MB: of tensors on CUDA, else of the whole process, libraries and
    images included; None where the system does not tell (it is read from Linux's /proc)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if not os.access(_CLEAR, os.W_OK):
        return None
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6
