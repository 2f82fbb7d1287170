"""Which device to run on."""

import torch

from ddnn.errors import DDNNError


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA, else MPS, else the CPU.

    Raises:
        DDNNError: if this machine has no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    found = [device for device, there in present.items() if there]
    if name != "auto" and name not in found:
        raise DDNNError(f"device {name} is not available here; available: {', '.join(found)}, auto")
    return torch.device(found[0] if name == "auto" else name)
