from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from edge_llama.engine import compile_queue
from edge_llama.engine.compile_queue import CompileQueue, Result
from edge_llama.engine.grammar import CFG
from edge_llama.engine.sequence import Sequence
from edge_llama.errors import InvalidValue


class Settled:
    """A queue at work, and what becomes of its requests."""

    def __init__(self) -> None:
        self.results: list[tuple[int, Result]] = []
        self._more = threading.Condition()
        self.queue = CompileQueue(lambda: None, self._settle)
        threading.Thread(target=self.queue.run, daemon=True).start()

    def put(self, id: int, accept: Callable[[], list[Sequence]], text: str = "") -> None:
        self.queue.put(id, CFG(text, f"grammar {id}"), accept)

    def after(self, n: int) -> list[int]:
        """The ids that are settled when there are `n`."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.results) == n, 5)
        return [id for id, _ in self.results]

    def _settle(self, id: int, result: Result) -> None:
        with self._more:
            self.results.append((id, result))
            self._more.notify()


class Slow:
    """Compiles until it is let go."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self) -> list[Sequence]:
        self.began.set()
        assert self.go.wait(5)
        return []


def at_once() -> list[Sequence]:
    return []


def test_short_grammars_go_first() -> None:
    settled, slow = Settled(), Slow()
    settled.put(1, slow)
    assert slow.began.wait(5)
    for id, length in ((2, 30), (3, 10), (4, 20), (5, 10)):
        settled.put(id, at_once, "x" * length)
    slow.go.set()
    assert settled.after(5) == [1, 3, 5, 4, 2]
    assert all(result == [] for _, result in settled.results)


def test_what_takes_too_long_is_refused_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_queue, "SECONDS", 0.05)
    settled, slow = Settled(), Slow()
    settled.put(1, slow)
    settled.put(2, at_once)
    assert settled.after(1) == [1]
    error = settled.results[0][1]
    assert isinstance(error, InvalidValue)
    assert error.param == "grammar 1"
    assert "to compile" in error.message
    slow.go.set()
    assert settled.after(2) == [1, 2]


def test_a_faulty_grammar_is_settled_with_its_error() -> None:
    def fail() -> list[Sequence]:
        raise InvalidValue("no", param="grammar")

    settled = Settled()
    settled.put(1, fail)
    settled.put(2, at_once)
    settled.after(2)
    assert isinstance(settled.results[0][1], InvalidValue)
    assert settled.results[1] == (2, [])


def test_an_aborted_request_is_not_settled() -> None:
    settled, slow = Settled(), Slow()
    settled.put(1, slow)
    settled.put(2, at_once)
    assert slow.began.wait(5)
    assert settled.queue.abort(1)
    assert settled.queue.abort(2)
    assert not settled.queue.abort(2)
    settled.put(3, at_once)
    slow.go.set()
    assert settled.after(1) == [3]
    time.sleep(0.02)
    assert settled.after(1) == [3]
    assert not settled.queue.abort(3)
