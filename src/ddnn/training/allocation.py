"""Keep the memory that a training step frees for the next one, instead of giving it back to the system.

glibc maps each large tensor anew and unmaps it when it is freed, so that on a CPU every step pays for its pages again.
Kept, a step of ResNet-8/14/20 on 128 images takes 0.8 of the time (docs/performance.md); the process is as large as its
largest step either way.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h
_LARGEST_THRESHOLD = 32 << 20  # glibc takes no larger one
_ALL = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory for a while, where the C library is glibc; elsewhere nothing happens.

    Afterwards what is free is given back. The thresholds stay as they are: glibc does not say what they were.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
    libc.mallopt(_TRIM_THRESHOLD, _ALL)
    libc.mallopt(_TOP_PAD, 64 << 20)
    try:
        yield
    finally:
        libc.malloc_trim(0)
