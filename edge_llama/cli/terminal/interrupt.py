"""An event loop for a program that reads its terminal between pieces of async work."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class InterruptibleLoop:
    """Runs coroutines one after the other; Ctrl-C cancels the running one and nothing else.

    A plain KeyboardInterrupt could surface between any two instructions of the event loop and
    leave tasks behind that nobody awaits. Between coroutines, Ctrl-C raises it as ever. Only for
    the main thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[Any] | None = None
        self._running = False
        self._interrupted = False

    def __enter__(self) -> InterruptibleLoop:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; `work` was cancelled and has ended.
        """
        self._running = True
        try:
            task = self._loop.create_task(work)
            self._task = task
            if self._interrupted:  # before the handler could see the task
                task.cancel()
            return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            self._running = self._interrupted = False
            self._task = None

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        if not self._running:
            signal.default_int_handler(signum, frame)
        self._interrupted = True
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
