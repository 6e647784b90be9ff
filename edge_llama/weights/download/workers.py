"""A few jobs at a time in threads, watched from the calling one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_TICK = 0.2  # seconds
_GRACE = 2.0  # seconds for threads to notice that they are to stop


def run_jobs(
    jobs: Sequence[Callable[[], T]],
    *,
    threads: int,
    stop: threading.Event,
    on_tick: Callable[[], None],
) -> list[T]:
    """Run all jobs and return their results in order.

    The first error, also one of `on_tick` or Ctrl-C, sets `stop`, which the jobs are to watch. The
    threads are daemons: one that a dead connection holds up does not keep the program from ending.

    Args:
        on_tick: called in the calling thread a few times a second.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(jobs)):
        waiting.put(index)
    done: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()

    def work() -> None:
        while not stop.is_set():
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((index, jobs[index]()))
            except BaseException as error:  # raised again by the calling thread
                done.put((index, error))

    running = [threading.Thread(target=work, daemon=True) for _ in jobs[:threads]]
    results: dict[int, T] = {}
    try:
        for thread in running:
            thread.start()
        while len(results) < len(jobs):
            try:
                index, result = done.get(timeout=_TICK)
            except queue.Empty:
                pass
            else:
                if isinstance(result, BaseException):
                    raise result
                results[index] = result
            on_tick()
    finally:
        stop.set()
        for thread in running:
            thread.join(_GRACE)
    return [results[index] for index in range(len(jobs))]
