"""Heap: what the C library's allocator keeps of freed memory."""

from __future__ import annotations

import ctypes
import sys

LARGE = 128 * 1024
"""Bytes."""

_M_MMAP_THRESHOLD = -3
"""malloc.h"""


def give_back_large_blocks() -> None:
    """Have blocks of `LARGE` bytes and more go back to the system when they are freed.

    glibc does so at first, but whenever one is freed takes all up to its size for small from then
    on (mallopt(3), M_MMAP_THRESHOLD), and they leave holes in the heap. Nothing where the C library
    is another.
    """
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_M_MMAP_THRESHOLD, LARGE)
