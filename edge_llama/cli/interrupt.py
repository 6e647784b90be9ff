"""An event loop for a program that reads its terminal between pieces of async work."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class InterruptibleLoop:
    """Runs coroutines one after the other; Ctrl-C cancels the running one and nothing else.

    A plain KeyboardInterrupt could surface between any two instructions of the event loop and
    leave tasks behind that nobody awaits. Only for the main thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> InterruptibleLoop:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; `work` was cancelled and has ended.
        """
        task = self._loop.create_task(work)

        def cancel(signum: int, frame: object) -> None:
            self._loop.call_soon_threadsafe(task.cancel)

        before = signal.signal(signal.SIGINT, cancel)
        try:
            return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            signal.signal(signal.SIGINT, before)
