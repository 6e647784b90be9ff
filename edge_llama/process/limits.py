"""Limits that a child process sets for itself, before it runs what it does not trust."""

from __future__ import annotations

import faulthandler
import sys
import threading
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


def threads_start(n: int) -> bool:
    """Whether this process may have `n` more threads: native code ends it when it may not."""
    leave = threading.Event()
    threads = [threading.Thread(target=leave.wait, daemon=True) for _ in range(n)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):
        return False
    finally:
        leave.set()
        for thread in started:
            thread.join()
    return True


def told_limits() -> str:
    """The limits that keep threads from starting, as one clause; empty where none is known."""
    if sys.platform == "win32":
        return ""
    import resource

    known = (
        ("RLIMIT_NPROC", "{} processes and threads of this user (`ulimit -u`)", 1),
        ("RLIMIT_AS", "{} KiB of address space (`ulimit -v`)", 1024),
    )
    told = [
        text.format(soft // unit)
        for name, text, unit in known
        if hasattr(resource, name)
        and (soft := resource.getrlimit(getattr(resource, name))[0]) != resource.RLIM_INFINITY
    ]
    return " and ".join(told)
