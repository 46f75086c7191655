"""How the C library keeps memory."""

import ctypes
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def keep_pages() -> None:
    """Let glibc keep what large tensors leave behind, for the next ones; elsewhere, nothing.

    By default it gives their pages back, and a gradient step of a convolutional network spends a
    fifth of its time on getting them anew.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt and mallopt(_M_MMAP_THRESHOLD, 1 << 30):
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
