"""Plays a load on whatever can be asked: waits for what each request waits for, notes the times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from edge_llama.bench.load.load import Load, Request
from edge_llama.bench.load.stream import Stream

T = TypeVar("T")
"""What prompts are made of: token ids, or messages."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """What came of a request.

    Attributes:
        prompt_tokens: tokens of the prompt.
        cached_tokens: how many of them came from a prefix cache; None if unknown.
        output_tokens: tokens of the answer.
        answer: what stands for it in the prompt of the next turn.
    """

    prompt_tokens: int
    cached_tokens: int | None
    output_tokens: int
    answer: tuple[T, ...]


class Client(Protocol[T]):
    """Makes prompts for a target and asks it."""

    def system(self, n_tokens: int, seed: str) -> tuple[T, ...]:
        """A system prompt of about so many tokens, another one for another seed."""
        ...

    def user(self, n_tokens: int, seed: str) -> tuple[T, ...]:
        """What a user says, in about so many tokens."""
        ...

    async def ask(
        self,
        prompt: tuple[T, ...],
        n_tokens: int,
        on_output: Callable[[], None],
        schema: str | None = None,
    ) -> Reply[T]:
        """One request; when it is cancelled, so is the target's work.

        Args:
            n_tokens: most tokens of output.
            schema: JSON Schema of the answer.
            on_output: called at each piece of the answer.

        Raises:
            EdgeLlamaError: the target failed.
        """
        ...


async def play(client: Client[T], load: Load, seed: int) -> list[Stream]:
    """Run a load once. Prompts of different seeds have nothing in common.

    Raises:
        EdgeLlamaError: the target failed.
    """
    exchanges: list[_Exchange[T]] = []
    start = time.perf_counter()
    for number, request in enumerate(load.requests):
        exchanges.append(_Exchange(client, request, f"{seed}.{number}", f"{seed}", start))
    tasks = [asyncio.create_task(exchange.run(exchanges)) for exchange in exchanges]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class _Exchange(Generic[T]):
    """A request while the load runs.

    Attributes:
        began: when the load did, by `time.perf_counter`.
        prompt: set when it is sent.
        reply: set at its end, unless it was broken off.
    """

    client: Client[T]
    request: Request
    seed: str
    system_seed: str
    began: float
    prompt: tuple[T, ...] = ()
    reply: Reply[T] | None = None
    _times: list[float] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _milestones: list[tuple[int, asyncio.Event]] = field(default_factory=list)

    async def run(self, others: list[_Exchange[T]]) -> Stream:
        """Wait for the moment, ask, and tell how it went."""
        request = self.request
        if request.after is not None:
            await others[request.after].reached(request.after_outputs)
        if request.delay:
            await asyncio.sleep(self.began + request.delay - time.perf_counter())
        self.prompt = self._prompt(others)
        start = self._now()
        try:
            await self._ask(None if request.until is None else others[request.until]._ended)
        finally:
            self._ended.set()
            for _, event in self._milestones:
                event.set()
        reply = self.reply or Reply(len(self.prompt), None, len(self._times), ())
        # An answer without text, such as one control token, is first seen at its end.
        times = tuple(self._times) or (self._now(),)
        return Stream(reply.prompt_tokens, reply.cached_tokens, reply.output_tokens, start, times)

    async def reached(self, outputs: int | None) -> None:
        """Wait until it has got so many pieces, or has ended."""
        if outputs is None:
            await self._ended.wait()
        elif not self._ended.is_set() and len(self._times) < outputs:
            event = asyncio.Event()
            self._milestones.append((outputs, event))
            await event.wait()

    async def _ask(self, until: asyncio.Event | None) -> None:
        request = self.request
        asking = asyncio.create_task(
            self.client.ask(self.prompt, request.output_tokens, self._on_output, request.schema)
        )
        tasks: set[asyncio.Task[Any]] = {asking}
        if until is not None:
            tasks.add(asyncio.create_task(until.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not asking.cancelled():
            self.reply = asking.result()

    def _on_output(self) -> None:
        self._times.append(self._now())
        for outputs, event in self._milestones:
            if len(self._times) >= outputs:
                event.set()

    def _prompt(self, others: list[_Exchange[T]]) -> tuple[T, ...]:
        request = self.request
        user = self.client.user(request.prompt_tokens, self.seed)
        if request.continues is not None:
            before = others[request.continues]
            answer = before.reply.answer if before.reply else ()
            return (*before.prompt, *answer, *user)
        if request.system_tokens:
            return (*self.client.system(request.system_tokens, self.system_seed), *user)
        return user

    def _now(self) -> float:
        return time.perf_counter() - self.began
