from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from edge_llama.weights.download.workers import run_jobs
from tests.effort import PATIENCE


def nothing() -> None:
    pass


def test_results_come_in_order_and_no_more_jobs_run_than_allowed() -> None:
    running, most, lock, two = 0, 0, threading.Lock(), threading.Event()

    def job(value: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if running == 2:
            two.set()
        assert two.wait(PATIENCE)
        threading.Event().wait(0.01 * (5 - value))
        with lock:
            running -= 1
        return value

    jobs = [partial(job, value) for value in range(5)]
    results = run_jobs(jobs, threads=2, stop=threading.Event(), on_tick=nothing)
    assert results == [0, 1, 2, 3, 4]
    assert most == 2


def test_the_first_error_stops_the_others() -> None:
    stop = threading.Event()
    begun: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    def wait() -> None:
        begun.append("wait")
        assert stop.wait(PATIENCE)

    def never() -> None:
        begun.append("never")

    jobs: list[Callable[[], None]] = [wait, fail, never]
    with pytest.raises(ZeroDivisionError):
        run_jobs(jobs, threads=2, stop=stop, on_tick=nothing)
    assert stop.is_set()
    assert begun.count("wait") == 1


def test_ctrl_c_does_not_wait_for_a_dead_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_llama.weights.download.workers._GRACE", 0.05)
    dead = threading.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([dead.wait], threads=1, stop=threading.Event(), on_tick=interrupt)
    dead.set()
