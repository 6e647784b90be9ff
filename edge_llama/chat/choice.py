"""Choice: one of the answers to a request, as it is made."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator

from edge_llama.chat.events import (
    ChatEvent,
    Finished,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from edge_llama.chat.logprobs import LogprobQueue, TokenNames
from edge_llama.chat.tools.tool_calls import (
    CallArguments,
    CallParser,
    CallStarted,
    Part,
)
from edge_llama.engine.protocol.output import FinishReason, Output
from edge_llama.text.output_decoder import OutputDecoder


class Choice:
    """Outputs of the engine to events.

    Args:
        index: which choice it is.
        decoder: bytes to text.
        names: of the model's tokens.
        parser: finds the calls of tools; None if there are no tools.

    Attributes:
        ids: of its tokens so far, the end-of-generation token included, tokens after a stop string
            not.
        stopped: a stop string was found; what comes later is nothing.
    """

    def __init__(
        self,
        index: int,
        decoder: OutputDecoder,
        names: TokenNames,
        parser: CallParser | None = None,
    ) -> None:
        self.ids: list[int] = []
        self._index = index
        self._decoder = decoder
        self._names = names
        self._parser = parser
        self._calls = 0
        self._logprobs = LogprobQueue()

    @property
    def tokens(self) -> int:
        """How many tokens it has so far."""
        return len(self.ids)

    @property
    def stopped(self) -> bool:
        return self._decoder.matched is not None

    def read(self, output: Output) -> Iterator[ChatEvent]:
        """The events of one output; the last of all is `Finished`."""
        yield from self._events(_joined(self._parts(output)))
        if self.stopped:
            yield Finished(self._index, FinishReason.STOP, self._decoder.matched)
        elif output.finish is not None:
            made_calls = self._calls and output.finish is FinishReason.STOP
            reason = FinishReason.TOOL_CALLS if made_calls else output.finish
            rest = () if self._calls else self._logprobs.rest()
            yield Finished(self._index, reason, logprobs=rest)

    def _parts(self, output: Output) -> Iterator[Part]:
        for position, (token, piece) in enumerate(zip(output.tokens, output.pieces, strict=True)):
            self.ids.append(token)
            if output.logprobs:
                entry = self._names.entry(output.logprobs[position])
                self._logprobs.put(entry, self._decoder.decoded)
            if self._parser is not None and self._parser.controls:
                text = self._names.text(token, piece)
                if text in self._parser.controls:
                    yield from self._parse(self._decoder.flush())
                    yield from self._parser.control(text)
            yield from self._parse(self._decoder.feed(piece))
            if self._parser is not None and self._parser.called:
                # A stop string must not break what the tool is given.
                yield from self._parse(self._decoder.pass_all())
            if self.stopped:
                break
        if output.finish is not None or self.stopped:
            yield from self._parse(self._decoder.flush())
            if self._parser is not None:
                complete = self.stopped or output.finish is FinishReason.STOP
                yield from self._parser.flush(complete=complete)

    def _parse(self, text: str) -> Iterator[Part]:
        if self._parser is not None:
            yield from self._parser.feed(text)
        elif text:
            yield text

    def _events(self, parts: Iterable[Part]) -> Iterator[ChatEvent]:
        for part in parts:
            match part:
                case str(text):
                    yield TextDelta(self._index, text, self._logprobs.take(self._decoder.released))
                case CallStarted(name):
                    self._calls += 1
                    call_id = f"call_{uuid.uuid4().hex[:24]}"
                    yield ToolCallStarted(self._index, self._calls - 1, call_id, name)
                case CallArguments(text):
                    yield ToolCallDelta(self._index, self._calls - 1, text)


def _joined(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts of several tokens, texts that follow each other in one piece."""
    last: Part | None = None
    for part in parts:
        if isinstance(last, str) and isinstance(part, str):
            last += part
        elif isinstance(last, CallArguments) and isinstance(part, CallArguments):
            last = CallArguments(last.text + part.text)
        else:
            if last is not None:
                yield last
            last = part
    if last is not None:
        yield last
