"""Which device to run on, and what to call it. Torch is imported where it is needed: a device may have none."""

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from ddnn.errors import DDNNError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> "torch.device":
    """The device of that name; `auto` is CUDA, else MPS, else the CPU.

    Raises:
        DDNNError: if this machine has no such device.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    found = [device for device, there in present.items() if there]
    if name != "auto" and name not in found:
        raise DDNNError(f"device {name} is not available here; available: {', '.join(found)}, auto")
    return torch.device(found[0] if name == "auto" else name)


def describe_device(device: "torch.device") -> str:
    """A device in words, with what the figures measured on it depend on besides."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    cores = "" if device.type == "cuda" else f", {os.cpu_count()} cores"
    return f"{name}{cores}, torch {torch.__version__}"


def processor() -> str:
    """The name of the CPU, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
