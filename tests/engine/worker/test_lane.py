from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from edge_llama.engine.worker.lane import Lane


class Desk:
    """A lane at work, whose first request holds it up until it is let go."""

    def __init__(self) -> None:
        self.lane = Lane()
        self.settled: list[int] = []
        self._began, self._go = threading.Event(), threading.Event()
        self._done = threading.Event()
        threading.Thread(target=self.lane.run, daemon=True).start()
        self.put(0, 0, self._hold_up)
        assert self._began.wait(5)

    def put(self, id: int, size: int, work: Callable[[], None] = lambda: None) -> None:
        def work_and_settle() -> None:
            work()
            self.lane.settle(id, lambda: self.settled.append(id))

        self.lane.put(id, size, work_and_settle)

    def finish(self) -> list[int]:
        """The ids that were settled, in order."""
        self.lane.put(1000, 1000, self._done.set)
        self._go.set()
        assert self._done.wait(5)
        return self.settled

    def _hold_up(self) -> None:
        self._began.set()
        assert self._go.wait(5)


def test_small_work_goes_first() -> None:
    desk = Desk()
    for id, size in ((1, 30), (2, 10), (3, 20), (4, 10)):
        desk.put(id, size)
    assert desk.finish() == [0, 2, 4, 3, 1]


def test_what_is_aborted_is_not_settled() -> None:
    desk = Desk()
    desk.put(1, 10)
    desk.put(2, 10)
    assert [desk.lane.abort(id) for id in (0, 1, 1, 5)] == [True, True, False, False]
    assert desk.finish() == [2]
    assert not desk.lane.abort(2)


def test_nothing_is_settled_twice() -> None:
    desk = Desk()
    desk.put(1, 10, lambda: desk.lane.settle(1, lambda: desk.settled.append(100)))
    assert desk.finish() == [0, 100]


def test_what_is_aborted_is_not_kept() -> None:
    class Work:
        def __call__(self) -> None:
            raise AssertionError

    desk, work = Desk(), Work()
    kept = weakref.ref(work)
    desk.lane.put(1, 10, work)
    del work
    assert kept() is not None
    desk.lane.abort(1)
    assert kept() is None
    assert desk.finish() == [0]
