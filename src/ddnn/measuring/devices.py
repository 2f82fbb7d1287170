"""Which device to run on, and what to call it. Torch is imported where it is needed: a device may have none."""

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from ddnn.errors import DDNNError
from ddnn_runtime.cores import cores

if TYPE_CHECKING:
    import torch


_ISAS_WITH_BF16 = frozenset(
    ("DEFAULT", "ALL", "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX10_1_512")
)
"""Values of ONEDNN_MAX_CPU_ISA that leave bfloat16 instructions in use."""


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


def pick_precision(name: str, device: "torch.device") -> tuple[str, str]:
    """Lightning's name of a number format, and why; `auto` is bf16-mixed where the device computes with bfloat16.

    A processor without bfloat16 units emulates it, ten times slower than single precision; one that has it needs half
    to two thirds of the time (docs/performance.md). `ONEDNN_MAX_CPU_ISA`, which keeps oneDNN from newer instructions,
    is heeded.

    Raises:
        DDNNError: if the device cannot have that format.
    """
    import torch

    if name == "16-mixed" and device.type != "cuda":
        raise DDNNError(f"precision 16-mixed needs CUDA, and the device is {device.type}; use bf16-mixed or 32-true")
    if name != "auto":
        return name, "as configured"
    if device.type == "cuda":
        fast, what = torch.cuda.is_bf16_supported(including_emulation=False), "this GPU"
    else:
        fast, what = device.type == "cpu" and _has_bf16_units(), "this processor" if device.type == "cpu" else "MPS"
    return ("bf16-mixed", f"{what} has bfloat16 units") if fast else ("32-true", f"{what} has no fast bfloat16")


def _has_bf16_units() -> bool:
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "DEFAULT").upper()
    flags = _processor_info("flags").split()
    return ("amx_bf16" in flags or "avx512_bf16" in flags) and allowed in _ISAS_WITH_BF16


def describe_device(device: "torch.device") -> str:
    """A device in words, with what the figures measured on it depend on besides."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    count = "" if device.type == "cuda" else f", {cores()} cores"
    return f"{name}{count}, torch {torch.__version__}"


def processor() -> str:
    """The name of the CPU, as far as the system tells."""
    return _processor_info("model name") or platform.processor() or platform.machine()


def _processor_info(key: str) -> str:
    """What Linux tells of the first core; empty elsewhere."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""
