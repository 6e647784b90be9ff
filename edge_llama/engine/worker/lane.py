"""Lane: slow work on requests, beside everything else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class _HasId(Protocol):
    @property
    def id(self) -> int:
        """No two are equal."""


Job = TypeVar("Job", bound=_HasId)


class Lane(Generic[Job]):
    """Has requests worked on one at a time, small ones first.

    ```
    put ─→ work ─→ then, unless the request was aborted meanwhile
    ```

    Args:
        work: what may take long.
        then: what follows.
    """

    def __init__(self, work: Callable[[Job], None], then: Callable[[Job], None]) -> None:
        self._work = work
        self._then = then
        self._waiting: queue.PriorityQueue[tuple[int, int]] = queue.PriorityQueue()
        self._jobs: dict[int, Job] = {}
        self._lock = threading.Lock()

    def put(self, job: Job, size: int) -> None:
        """Have a request worked on, of which there is so much."""
        with self._lock:
            self._jobs[job.id] = job
        self._waiting.put((size, job.id))

    def abort(self, id: int) -> bool:
        """Forget a request. Returns whether it was still here; then nothing follows."""
        with self._lock:
            return self._jobs.pop(id, None) is not None

    def run(self) -> None:
        """Work for ever."""
        while True:
            _, id = self._waiting.get()
            self._work_on(id)

    def _work_on(self, id: int) -> None:
        job = self._jobs.get(id)
        if job is None:
            return
        self._work(job)
        # An abort comes before this and is heeded, or after it and finds the request gone on.
        with self._lock:
            if self._jobs.pop(id, None) is not None:
                self._then(job)
