from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from edge_llama.engine.worker.lane import Lane
from tests.effort import PATIENCE


@dataclass(eq=False)
class Work:
    id: int
    do: Callable[[], None] = lambda: None


class Desk:
    """A lane at work, whose first request holds it up until it is let go."""

    def __init__(self) -> None:
        self.lane = Lane[Work](lambda work: work.do(), lambda work: self.settled.append(work.id))
        self.settled: list[int] = []
        self._began, self._go = threading.Event(), threading.Event()
        self._done = threading.Event()
        threading.Thread(target=self.lane.run, daemon=True).start()
        self.lane.put(Work(0, self._hold_up), 0)
        assert self._began.wait(PATIENCE)

    def finish(self) -> list[int]:
        """The ids that were settled, in order."""
        self.lane.put(Work(1000, self._done.set), 1000)
        self._go.set()
        assert self._done.wait(PATIENCE)
        return [id for id in self.settled if id != 1000]

    def _hold_up(self) -> None:
        self._began.set()
        assert self._go.wait(PATIENCE)


def test_small_work_goes_first() -> None:
    desk = Desk()
    for id, size in ((1, 30), (2, 10), (3, 20), (4, 10)):
        desk.lane.put(Work(id), size)
    assert desk.finish() == [0, 2, 4, 3, 1]


def test_what_is_aborted_is_not_settled() -> None:
    desk = Desk()
    desk.lane.put(Work(1), 10)
    desk.lane.put(Work(2), 10)
    assert [desk.lane.abort(id) for id in (0, 1, 1, 5)] == [True, True, False, False]
    assert desk.finish() == [2]
    assert not desk.lane.abort(2)


def test_what_is_aborted_is_not_kept() -> None:
    def never() -> None:
        raise AssertionError

    desk, work = Desk(), Work(1, never)
    kept = weakref.ref(work)
    desk.lane.put(work, 10)
    del work
    assert kept() is not None
    desk.lane.abort(1)
    assert kept() is None
    assert desk.finish() == [0]
