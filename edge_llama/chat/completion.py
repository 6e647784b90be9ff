"""ChatCompletion: the answer to one chat request, as it is made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType

from edge_llama.chat.choice import Choice
from edge_llama.chat.engine import OutputStream
from edge_llama.chat.events import ChatEvent, Finished, PromptScored, Started, Usage
from edge_llama.chat.logprobs import TokenNames
from edge_llama.chat.overflow import Dropped
from edge_llama.engine.protocol.output import Output, Timings


class ChatCompletion:
    """An async iterator of the events of all choices. Leaving its context aborts what still runs.

    A choice whose text comes to a stop string is aborted in the engine at once. Iterating raises
    EngineError when the engine ends before the answer does, or time is up.

    Args:
        generation: the running request.
        choices: all of them, in order.
        names: of the model's tokens.
        dropped: what was left out of the conversation because it was too long.
        scored: the log-probabilities of the prompt were asked for.

    Attributes:
        unused: paths of what was asked for and could not be used.
    """

    def __init__(
        self,
        generation: OutputStream,
        choices: Sequence[Choice],
        names: TokenNames,
        *,
        dropped: Dropped | None = None,
        scored: bool = False,
    ) -> None:
        self.dropped = dropped
        self.unused: tuple[str, ...] = ()
        self._generation = generation
        self._choices = choices
        self._names = names
        self._scored = scored
        self._scores = 0
        self._early: list[Output] = []
        self._running = set(range(len(choices)))
        self._started = 0
        self._events: deque[ChatEvent] = deque()
        self._cached_tokens = 0
        self._timings: Timings | None = None

    @property
    def usage(self) -> Usage:
        """Tokens so far, end-of-generation tokens included, tokens after a stop string not."""
        return Usage(
            prompt_tokens=self._generation.prompt_tokens,
            completion_tokens=sum(choice.tokens for choice in self._choices),
            cached_tokens=self._cached_tokens,
        )

    def token_ids(self, choice: int, start: int = 0) -> list[int]:
        """The tokens of a choice so far, without the first `start`."""
        return self._choices[choice].ids[start:]

    @property
    def timings(self) -> Timings | None:
        """Of choice 0 so far; None before its first token."""
        return self._timings

    def abort(self) -> None:
        """End all choices that still run; no more events follow."""
        self._running.clear()
        self._events.clear()
        self._generation.abort()

    async def __aenter__(self) -> ChatCompletion:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._running:
            self.abort()

    def __aiter__(self) -> ChatCompletion:
        return self

    async def __anext__(self) -> ChatEvent:
        while not self._events:
            if not self._running:
                raise StopAsyncIteration
            self._take(await self._generation.__anext__())
        return self._events.popleft()

    def _take(self, output: Output) -> None:
        if output.progress is not None and self._running:
            self._events.append(output.progress)
        if output.prompt_logprobs and self._running:
            self._scores += len(output.prompt_logprobs)
            entries = tuple(map(self._names.entry, output.prompt_logprobs))
            self._events.append(PromptScored(entries))
        if self._scored and self._scores < self._generation.prompt_tokens - 1:
            # Other choices may be ahead of the first, which alone tells about the prompt.
            if output.tokens or output.finish:
                self._early.append(output)
            return
        for each in (*self._early, output):
            if each.index in self._running and (each.tokens or each.finish):
                self._events.extend(self._start(each.index))
                self._events.extend(self._read(each))
        self._early.clear()

    def _start(self, index: int) -> Iterator[Started]:
        while self._started <= index:
            yield Started(self._started)
            self._started += 1

    def _read(self, output: Output) -> Iterator[ChatEvent]:
        if output.index == 0:
            self._cached_tokens = max(self._cached_tokens, output.cached_tokens)
            self._timings = output.timings
        choice = self._choices[output.index]
        for event in choice.read(output):
            if isinstance(event, Finished):
                self._running.discard(output.index)
            yield event
        if choice.stopped:
            self._generation.abort(output.index)
