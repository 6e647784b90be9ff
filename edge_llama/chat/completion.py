"""ChatCompletion: the answer to one chat request, as it is made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType

from edge_llama.chat.engine import Generation
from edge_llama.chat.events import ChatEvent, Finished, Started, TextDelta, Usage
from edge_llama.engine.messages import FinishReason, Output, Timings
from edge_llama.text.output_decoder import OutputDecoder


class ChatCompletion:
    """An async iterator of the events of all choices. Leaving its context aborts what still runs.

    A choice whose text comes to a stop string is aborted in the engine at once. Iterating raises
    EngineDied when the engine ends before the answer does.

    Args:
        generation: the running request.
        decoders: one per choice.
    """

    def __init__(self, generation: Generation, decoders: Sequence[OutputDecoder]) -> None:
        self._generation = generation
        self._decoders = decoders
        self._running = set(range(len(decoders)))
        self._started = 0
        self._events: deque[ChatEvent] = deque()
        self._completion_tokens = 0
        self._cached_tokens = 0
        self._timings: Timings | None = None

    @property
    def usage(self) -> Usage:
        """Tokens so far, end-of-generation tokens included, tokens after a stop string not."""
        return Usage(
            prompt_tokens=self._generation.prompt_tokens,
            completion_tokens=self._completion_tokens,
            cached_tokens=self._cached_tokens,
        )

    @property
    def timings(self) -> Timings | None:
        """Of choice 0, once it has ended; None when a stop string or an abort ended it."""
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
            output = await self._generation.__anext__()
            if output.index in self._running:
                self._events.extend(self._start(output.index))
                self._events.extend(self._read(output))
        return self._events.popleft()

    def _start(self, index: int) -> Iterator[Started]:
        while self._started <= index:
            yield Started(self._started)
            self._started += 1

    def _read(self, output: Output) -> Iterator[ChatEvent]:
        decoder = self._decoders[output.index]
        text = self._decode(decoder, output)
        if output.finish is not None:
            text += decoder.flush()
        if text:
            yield TextDelta(output.index, text)
        if output.index == 0:
            self._cached_tokens = max(self._cached_tokens, output.cached_tokens)
            self._timings = output.timings
        if decoder.matched is not None:
            self._generation.abort(output.index)
            yield self._finish(output.index, FinishReason.STOP, decoder.matched)
        elif output.finish is not None:
            yield self._finish(output.index, output.finish, None)

    def _finish(self, index: int, reason: FinishReason, stop: str | None) -> Finished:
        self._running.discard(index)
        return Finished(index, reason, stop)

    def _decode(self, decoder: OutputDecoder, output: Output) -> str:
        text = ""
        for piece in output.pieces:
            self._completion_tokens += 1
            text += decoder.feed(piece)
            if decoder.matched is not None:
                break
        return text
