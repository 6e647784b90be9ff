"""Generation: the outputs of one request, as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from edge_llama.engine.protocol.output import FinishReason, Output
from edge_llama.errors import EngineError, RequestTimedOut

MAX_PENDING = 32
"""Outputs that nobody has taken yet; with so many, the engine pauses until all are taken."""


class Generation:
    """An asynchronous iterator over the outputs of all choices of a request.

    It ends when every choice has finished, or was aborted here. Leaving its context aborts what
    still runs.

    Args:
        prompt_tokens: tokens of the prompt.
        n: how many choices.
        abort: tells the engine to stop one choice (an index) or all of them (None).
        pause: tells the engine to pause, or to go on.

    Attributes:
        started: there was an output.

    Raises:
        EngineDied: while iterating, if the engine process ends.
        RequestTimedOut: while iterating, if it takes longer than `limit_time` allows.
    """

    def __init__(
        self,
        prompt_tokens: int,
        n: int,
        abort: Callable[[int | None], None],
        pause: Callable[[bool], None],
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self._abort = abort
        self._pause = pause
        self._paused = False
        self.started = False
        self._timer: asyncio.TimerHandle | None = None
        self._open = set(range(n))
        self._unfinished = set(range(n))
        self._outputs: deque[Output | EngineError] = deque()
        self._wake = asyncio.Event()

    async def __aenter__(self) -> Generation:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.abort()

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> Output:
        while self._open:
            if not self._outputs:
                self._wake.clear()
                await self._wake.wait()
                continue
            output = self._outputs.popleft()
            if self._paused and not self._outputs:
                self._paused = False
                self._pause(False)
            if isinstance(output, EngineError):
                self._open.clear()
                raise output
            if output.index not in self._open:
                continue
            if output.finish is not None:
                self._open.discard(output.index)
            if output.finish is not FinishReason.ABORT:
                return output
        raise StopAsyncIteration

    def abort(self, index: int | None = None) -> None:
        """Stop one choice or all of them; they give no more outputs."""
        stopping = self._open if index is None else self._open & {index}
        if not stopping:
            return
        self._abort(index)
        self._open = self._open - stopping
        if not self._open:
            self._stop_timer()
            self._wake.set()

    @property
    def complete(self) -> bool:
        """The engine has sent the last output of every choice."""
        return not self._unfinished

    def feed(self, output: Output | EngineError) -> None:
        """Called by the engine's client with each output, or with the engine's end."""
        self.started = True
        if isinstance(output, Output) and output.finish is not None:
            self._unfinished.discard(output.index)
        if self.complete or not isinstance(output, Output):
            self._stop_timer()
        self._outputs.append(output)
        self._wake.set()
        if len(self._outputs) == MAX_PENDING:
            # After whoever takes them has had a turn: a burst is no sign of being behind.
            asyncio.get_running_loop().call_soon(self._pause_if_behind)

    def _pause_if_behind(self) -> None:
        if len(self._outputs) >= MAX_PENDING and self._open and not self._paused:
            self._paused = True
            self._pause(True)

    def limit_time(self, seconds: float) -> None:
        """End it with RequestTimedOut after `seconds`, if it is not complete by then."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._time_out, seconds)

    def _time_out(self, seconds: float) -> None:
        self._abort(None)
        self.feed(
            RequestTimedOut(
                f"The request took longer than the {seconds:g} s that this server allows. Ask for "
                "fewer tokens, or let it have more with `request_timeout`."
            )
        )

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
