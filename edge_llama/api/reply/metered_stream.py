"""MeteredStream: what a model gives a request is counted for its key."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import msgspec

from edge_llama.accounts.account import Account, Reservation
from edge_llama.accounts.usage import Spent
from edge_llama.chat.engine import OutputStream
from edge_llama.engine.protocol.output import FinishReason, Output


class AccountMeter:
    """The meter of one request.

    Args:
        account: who pays.
        model: its id.
        on_use: called when something was counted.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        account: Account,
        model: str,
        on_use: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = account
        self._model = model
        self._on_use = on_use
        self._clock = clock

    def metered(self, generation: OutputStream, *, n: int, max_tokens: int | None) -> MeteredStream:
        most = None if max_tokens is None else n * max_tokens
        now = self._clock()
        reservation = self._account.hold(self._model, generation.prompt_tokens, most, now)
        self._on_use()
        return MeteredStream(generation, reservation, n, self._on_use, self._clock)


class MeteredStream:
    """The outputs of a request, counted as they are taken. When nothing is left to its key, all
    choices end for want of length.

    Args:
        generation: what runs.
        reservation: what it may use.
        n: how many choices.
        on_use: called when something was counted.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        generation: OutputStream,
        reservation: Reservation,
        n: int,
        on_use: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._generation = generation
        self._reservation = reservation
        self._on_use = on_use
        self._clock = clock
        self._open = set(range(n))
        self._cached = 0
        self._last: deque[Output] = deque()

    @property
    def prompt_tokens(self) -> int:
        return self._generation.prompt_tokens

    async def __anext__(self) -> Output:
        if self._last:
            return self._last.popleft()
        if not self._open:
            raise StopAsyncIteration
        try:
            output = await self._generation.__anext__()
        except BaseException:
            self._settle()
            raise
        if output.finish is not None:
            self._open.discard(output.index)
        if not self._count(output) and self._open:
            output = self._end(output)
        if not self._open:
            self._settle()
        return output

    def abort(self, index: int | None = None) -> None:
        self._generation.abort(index)
        self._open = set() if index is None else self._open - {index}
        self._last = deque(each for each in self._last if each.index in self._open)
        if not self._open:
            self._settle()

    def _count(self, output: Output) -> bool:
        """Whether another token may follow."""
        cached = max(0, output.cached_tokens - self._cached) if output.index == 0 else 0
        if not (output.tokens or cached):
            return True
        self._cached += cached
        usage = Spent(cached_tokens=cached, completion_tokens=len(output.tokens))
        self._on_use()
        return self._reservation.use(usage, self._clock())

    def _end(self, output: Output) -> Output:
        """The last output, if it is of a choice that goes on; those of others follow it."""
        self._generation.abort()
        others = self._open - {output.index}
        self._last.extend(
            Output(
                id=output.id,
                index=index,
                tokens=(),
                pieces=(),
                timings=output.timings,
                finish=FinishReason.LENGTH,
            )
            for index in sorted(others)
        )
        self._open = set()
        if output.finish is not None:
            return output
        return msgspec.structs.replace(output, finish=FinishReason.LENGTH)

    def _settle(self) -> None:
        self._reservation.settle(self._clock())
        self._on_use()
