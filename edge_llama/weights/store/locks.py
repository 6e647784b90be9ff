"""One process at a time changes a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_llama.files.durable import changing, naming_lock

_POLL = 0.25  # seconds


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock that the file `path` stands for; it ends with the process at the latest.

    The file stays: a process that waits on a removed one would not exclude who makes it anew.

    Args:
        on_wait: called a few times a second while another process or thread holds it; what it
            raises ends the wait.

    Raises:
        WeightsError: the file cannot be made.
    """
    from filelock import FileLock, Timeout

    with changing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        while not lock.is_locked:
            with suppress(Timeout), naming_lock(lock.lock_file):
                lock.acquire(timeout=_POLL, poll_interval=_POLL / 5)
                break
            on_wait()
    try:
        yield
    finally:
        lock.release()
