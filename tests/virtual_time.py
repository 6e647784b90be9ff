"""Async tests whose seconds cost nothing."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

ARRIVAL = 0.02
"""Real seconds in which what was written to a socket of this machine comes out at the other end:
that is done by the kernel while it is written, in microseconds.
"""


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, it moves the clock. Nothing may come from outside the event loop but what
    it sends to itself through sockets.
    """

    clock = 0.0
    arrival = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            ready = super().select(self.arrival)
        if ready:
            return ready
        if timeout is None:
            raise AssertionError("Everything waits, and for nothing.")
        self.clock += max(0.0, timeout)
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while there is something to do. Threads are not used."""

    def __init__(self, arrival: float) -> None:
        self._jumping = _JumpingSelector()
        self._jumping.arrival = arrival
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.clock

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        future.set_result(func(*args))
        return future


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async function in an event loop whose clock jumps from timer to timer."""
    return _run_virtually(test, 0.0)


def sockets_in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The same for one that talks to itself through sockets: the clock jumps when all that was sent
    has arrived and nothing is left to do.
    """
    return _run_virtually(test, ARRIVAL)


def _run_virtually(
    test: Callable[P, Coroutine[Any, Any, None]], arrival: float
) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        loop = _VirtualLoop(arrival)
        try:
            loop.run_until_complete(test(*args, **kwargs))
            loop.run_until_complete(_leave())
        finally:
            loop.close()

    return run


async def _leave() -> None:
    """Let closed connections go, and end what still runs, as `asyncio.run` does."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def now() -> float:
    """Seconds since the test began."""
    return asyncio.get_running_loop().time()
