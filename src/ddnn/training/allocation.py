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
_LARGEST = 32 << 20
"""Up to where glibc takes a block from the heap at most; it comes to that by itself once such a block was freed."""
_ALL = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory for a while, where the C library is glibc; elsewhere nothing happens.

    Afterwards what is free is given back, and again what more than 64 MiB of it there is: as glibc does by itself in a
    process that has used large tensors.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
    libc.mallopt(_TRIM_THRESHOLD, _ALL)
    libc.mallopt(_TOP_PAD, 2 * _LARGEST)
    try:
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
        libc.mallopt(_TOP_PAD, 0)
        libc.malloc_trim(0)
