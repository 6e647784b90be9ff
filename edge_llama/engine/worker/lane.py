"""Lane: slow work on requests, beside everything else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Lane:
    """Has requests worked on one at a time, small ones first.

    ```
    put ─→ work ─→ settle: what follows is done, unless the request was aborted meanwhile
    ```
    """

    def __init__(self) -> None:
        self._waiting: queue.PriorityQueue[tuple[int, int]] = queue.PriorityQueue()
        self._works: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()

    def put(self, id: int, size: int, work: Callable[[], None]) -> None:
        """Have a request worked on.

        Args:
            id: of the request; no two are equal.
            size: of the work.
            work: ends with `settle`.
        """
        with self._lock:
            self._works[id] = work
        self._waiting.put((size, id))

    def abort(self, id: int) -> bool:
        """Forget a request. Returns whether it was still here; then it is not settled."""
        with self._lock:
            return self._works.pop(id, None) is not None

    def settle(self, id: int, then: Callable[[], None]) -> None:
        """Do `then`, once, unless the request was aborted."""
        # An abort comes before this and is heeded, or after it and finds the request settled.
        with self._lock:
            if self._works.pop(id, None) is not None:
                then()

    def run(self) -> None:
        """Work for ever."""
        while True:
            _, id = self._waiting.get()
            work = self._works.get(id)
            if work is not None:
                work()
