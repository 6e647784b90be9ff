"""Limits that a child process sets for itself, before it runs what it does not trust."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def limit_address_space(size: int) -> None:
    """Have the kernel refuse more than `size` bytes of address space. Only Linux does so."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End this process when what is done within takes longer: a thread of the C runtime does so,
    whatever native code does meanwhile.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
