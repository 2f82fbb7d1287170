"""A yes or no from a GPU that nobody waits for.

Reading a number has the host wait until the GPU has done all that it was asked, and then the GPU waits for the host to
think of more. What is asked for again and again, and need not be known at once, can be read when the next one is asked
for: by then it has long come.
"""

import torch
from torch import Tensor


class LateFlag:
    """Takes a flag and gives back the one before; on a CPU, where nothing is to be waited for, the same one.

    Example:
        >>> LateFlag().exchange(torch.tensor(False))
        False
    """

    def __init__(self) -> None:
        self._host: Tensor | None = None
        self._came: torch.cuda.Event | None = None

    def exchange(self, flag: Tensor) -> bool:
        """The flag that was given the time before; True the first time.

        Args:
            flag: a scalar of booleans, on any device.
        """
        if flag.device.type != "cuda":
            return bool(flag)
        before = self._read()
        if self._host is None:
            self._host = torch.empty((), dtype=torch.bool, pin_memory=True)
        self._host.copy_(flag, non_blocking=True)
        self._came = torch.cuda.Event()
        self._came.record()
        return before

    def _read(self) -> bool:
        if self._host is None or self._came is None:
            return True
        self._came.synchronize()
        return bool(self._host)
