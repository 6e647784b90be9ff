"""MessagesReply: chat events as Anthropic's message, and as the events that tell it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from edge_llama.api.anthropic.block_writer import BlockWriter, TextBlockWriter, ToolUseBlockWriter
from edge_llama.api.anthropic.schemas import MessagesRequest
from edge_llama.api.anthropic.shapes import (
    MessageDelta,
    MessageEvent,
    MessageOut,
    MessageUsage,
    StopReason,
)
from edge_llama.api.errors import anthropic_error_body
from edge_llama.api.http.sse import named_frame
from edge_llama.api.reply.unique_id import unique_id
from edge_llama.api.reply.usage import shortened
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import (
    Finished,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)
from edge_llama.engine.protocol.output import FinishReason


class MessagesReply:
    """One message. Whole and streamed answers are the same fold over the chat's events.

    Shapes: https://docs.claude.com/en/docs/build-with-claude/streaming
    """

    prompt_field = "messages"

    def __init__(self, asked: MessagesRequest) -> None:
        self._model = asked.model
        self._max_tokens = asked.max_tokens
        self._blocks: list[BlockWriter] = []

    async def whole(self, completion: ChatCompletion) -> MessageOut:
        message = self._begin(completion)
        async for _ in self._events(completion, message):
            pass
        return message

    async def stream(self, completion: ChatCompletion) -> AsyncGenerator[bytes, None]:
        async for event in self._events(completion, self._begin(completion)):
            yield named_frame(event["type"], event)

    def failure(self, error: Exception) -> bytes:
        return named_frame("error", anthropic_error_body(error))

    def _begin(self, completion: ChatCompletion) -> MessageOut:
        return {
            "id": unique_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            **shortened(completion.dropped),
            "usage": _usage_object(completion.usage),
        }

    async def _events(
        self, completion: ChatCompletion, message: MessageOut
    ) -> AsyncIterator[MessageEvent]:
        """What tells of `message`, which becomes whole with them."""
        async for event in completion:
            match event:
                case Started():
                    message["usage"] = _usage_object(completion.usage)
                    yield {"type": "message_start", "message": message}
                case TextDelta(_, text):
                    for told in self._text(text):
                        yield told
                case ToolCallStarted(_, _, call_id, name):
                    for told in self._open(ToolUseBlockWriter(len(self._blocks), call_id, name)):
                        yield told
                case ToolCallDelta(_, _, arguments):
                    yield self._blocks[-1].add(arguments)
                case Finished():
                    for block in self._blocks[-1:]:
                        yield block.closing()
                    yield self._finish(message, event, completion.usage)
                    yield {"type": "message_stop"}

    def _text(self, text: str) -> Iterator[MessageEvent]:
        if not self._blocks or not isinstance(self._blocks[-1], TextBlockWriter):
            yield from self._open(TextBlockWriter(len(self._blocks)))
        yield self._blocks[-1].add(text)

    def _open(self, block: BlockWriter) -> Iterator[MessageEvent]:
        """One block is written at a time."""
        if self._blocks:
            yield self._blocks[-1].closing()
        yield block.opening()
        if not self._blocks:
            yield {"type": "ping"}
        self._blocks.append(block)

    def _finish(self, message: MessageOut, event: Finished, usage: Usage) -> MessageEvent:
        reason = self._stop_reason(event, usage)
        message["content"] = [block.content for block in self._blocks]
        message["stop_reason"] = reason
        message["stop_sequence"] = event.stop
        message["usage"] = _usage_object(usage)
        ending: MessageDelta = {"stop_reason": reason, "stop_sequence": event.stop}
        return {"type": "message_delta", "delta": ending, "usage": message["usage"]}

    def _stop_reason(self, event: Finished, usage: Usage) -> StopReason:
        if event.stop is not None:
            return "stop_sequence"
        if event.reason is FinishReason.TOOL_CALLS:
            return "tool_use"
        if event.reason is FinishReason.STOP:
            return "end_turn"
        if usage.completion_tokens < self._max_tokens:
            return "model_context_window_exceeded"
        return "max_tokens"


def _usage_object(usage: Usage) -> MessageUsage:
    """Anthropic counts cached tokens apart from those of the input."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }
