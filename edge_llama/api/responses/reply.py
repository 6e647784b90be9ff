"""ResponsesReply: chat events as a response object, and as the events that tell it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from edge_llama.api.errors import error_body
from edge_llama.api.http.sse import named_frame
from edge_llama.api.reply.unique_id import unique_id
from edge_llama.api.reply.usage import shortened
from edge_llama.api.responses.call_writer import OutputCallWriter
from edge_llama.api.responses.message_writer import OutputMessageWriter
from edge_llama.api.responses.schemas import ResponsesRequest
from edge_llama.api.responses.shapes import (
    ItemEnd,
    ResponseEvent,
    ResponseOut,
    ResponseUsage,
    UnnumberedEvent,
)
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import Finished, TextDelta, ToolCallDelta, ToolCallStarted, Usage
from edge_llama.engine.protocol.output import FinishReason


class ResponsesReply:
    """One response. Whole and streamed answers are the same fold over the chat's events.

    Each event has a number, and the response it tells of is the object as it was then.

    Shapes: https://platform.openai.com/docs/api-reference/responses-streaming
    """

    prompt_field = "input"

    def __init__(self, asked: ResponsesRequest) -> None:
        self._response = _new_response(asked)
        self._items: list[OutputMessageWriter | OutputCallWriter] = []
        self._sequence_number = 0

    async def whole(self, completion: ChatCompletion) -> ResponseOut:
        async for _ in self._events(completion):
            pass
        return self._response

    async def stream(self, completion: ChatCompletion) -> AsyncGenerator[bytes, None]:
        async for event in self._events(completion):
            yield self._numbered(event)

    def failure(self, error: Exception) -> bytes:
        body = error_body(error)["error"]
        self._response["status"] = "failed"
        self._response["error"] = {"code": "server_error", "message": body["message"]}
        told: UnnumberedEvent = {
            "type": "error",
            "error": body,
            "code": body["code"],
            "message": body["message"],
            "param": body["param"],
        }
        return self._numbered(told) + self._numbered(self._lifecycle("failed"))

    async def _events(self, completion: ChatCompletion) -> AsyncIterator[UnnumberedEvent]:
        self._response = {**self._response, **shortened(completion.dropped)}
        yield self._lifecycle("created")
        yield self._lifecycle("in_progress")
        reason = FinishReason.STOP
        async for event in completion:
            match event:
                case TextDelta():
                    for told in self._text(event):
                        yield told
                case ToolCallStarted(_, _, call_id, name):
                    for told in self._open(OutputCallWriter(len(self._items), call_id, name)):
                        yield told
                case ToolCallDelta(_, _, arguments):
                    yield self._items[-1].add(arguments)
                case Finished():
                    reason = event.reason
        for told in self._close("incomplete" if reason is FinishReason.LENGTH else "completed"):
            yield told
        self._response["usage"] = _usage_object(completion.usage)
        yield self._lifecycle(self._response["status"])

    def _text(self, event: TextDelta) -> Iterator[UnnumberedEvent]:
        message = self._items[-1] if self._items else None
        if not isinstance(message, OutputMessageWriter):
            message = OutputMessageWriter(len(self._items))
            yield from self._open(message)
        yield message.add(event.text, event.logprobs)

    def _open(self, item: OutputMessageWriter | OutputCallWriter) -> Iterator[UnnumberedEvent]:
        """One item is written at a time: the one before is complete."""
        if self._items:
            yield from self._items[-1].closing("completed")
        self._items.append(item)
        yield from item.opening()

    def _close(self, status: ItemEnd) -> Iterator[UnnumberedEvent]:
        if not self._items:
            yield from self._open(OutputMessageWriter(0))
        yield from self._items[-1].closing(status)
        response = self._response
        response["status"] = status
        response["completed_at"] = int(time.time()) if status == "completed" else None
        response["output"] = [item.item for item in self._items]
        if status == "incomplete":
            response["incomplete_details"] = {"reason": "max_output_tokens"}

    def _lifecycle(self, phase: str) -> UnnumberedEvent:
        return {"type": f"response.{phase}", "response": self._response}

    def _numbered(self, event: UnnumberedEvent) -> bytes:
        numbered: ResponseEvent = {**event, "sequence_number": self._sequence_number}
        self._sequence_number += 1
        return named_frame(event["type"], numbered)


def _new_response(asked: ResponsesRequest) -> ResponseOut:
    sampling = asked.sampling()
    return {
        "id": unique_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": {},
        "model": asked.model,
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": asked.tier.value,
        "store": False,
        "temperature": sampling.temperature,
        "text": {"format": asked.text_format},
        "tool_choice": asked.told_tool_choice,
        "tools": asked.told_tools,
        "top_logprobs": asked.top_logprobs,
        "top_p": sampling.top_p,
        "truncation": asked.truncation or "disabled",
        "usage": None,
    }


def _usage_object(usage: Usage) -> ResponseUsage:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
