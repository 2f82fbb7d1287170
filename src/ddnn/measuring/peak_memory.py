"""The highest memory that a piece of work takes on a device. Torch is imported for CUDA alone."""

import contextlib
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak_memory(device: "torch.device") -> None:
    """Begin to measure anew, without what an earlier piece of work has left for the garbage collector."""
    gc.collect()
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # not there, or not allowed
            _CLEAR.write_text("5")  # of all values, the one that resets VmHWM (Linux, proc_pid_clear_refs(5))


def peak_memory_mb(device: "torch.device") -> float | None:
    """The highest memory since `reset_peak_memory`, in MB: of tensors on CUDA, else of the whole process, libraries and
    images included; None where the system does not tell (it is read from Linux's /proc)."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 1e6
    held = resident_bytes("VmHWM") if os.access(_CLEAR, os.W_OK) else None
    return None if held is None else held / 1e6


def resident_bytes(field: Literal["VmRSS", "VmHWM"]) -> int | None:
    """What this process holds (VmRSS) or has held at most (VmHWM); None where the system does not tell."""
    lines = _STATUS.read_text(encoding="utf-8").splitlines() if _STATUS.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)
