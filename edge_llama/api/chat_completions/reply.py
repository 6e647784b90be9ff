"""OpenAI's chat objects, made from chat events: the streamed chunks and the whole completion."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from edge_llama.api.http.sse import DONE, frame
from edge_llama.api.http.written_list import WrittenList
from edge_llama.api.reply.logprobs import chat_logprobs, logprob_entries
from edge_llama.api.reply.unique_id import unique_id
from edge_llama.api.reply.usage import overflow_field, progress_field, timings_field, usage_field
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import (
    ChoiceEvent,
    Finished,
    PromptRead,
    PromptScored,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from edge_llama.chat.overflow import Dropped
from edge_llama.engine.protocol.output import FinishReason


@dataclass(frozen=True)
class ReplyHead:
    """What all objects of one reply have in common; `model` is the name the request used."""

    model: str
    system_fingerprint: str
    dropped: Dropped | None = None
    id: str = field(default_factory=lambda: unique_id("chatcmpl", "-"))
    created: int = field(default_factory=lambda: int(time.time()))

    def object(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
        } | overflow_field(self.dropped)


class ChunkWriter:
    """The frames of one stream. A text chunk costs one JSON string, the rest is a template.

    Args:
        head: what all chunks have in common.
        logprobs: whether they tell log-probabilities.
        legacy: calls are written as `function_call`, the old way.
    """

    def __init__(self, head: ReplyHead, *, logprobs: bool = False, legacy: bool = False) -> None:
        self._legacy = legacy
        self._head = head.object("chat.completion.chunk")
        self._text_start = frame(self._head | {"choices": []}).removesuffix(b"]}\n\n")
        self._logprobs = logprobs

    def started(self, index: int, extra: dict[str, Any] | None = None) -> bytes:
        delta = {"role": "assistant", "content": ""}
        return self._choice(index, delta, extra, finish_reason=None)

    def text(self, event: TextDelta, extra: dict[str, Any] | None = None) -> bytes:
        logprobs = _json(chat_logprobs(event.logprobs)) if self._logprobs else "null"
        choice = (
            f'{{"index":{event.index},"delta":{{"content":{json.dumps(event.text)}}},'
            f'"logprobs":{logprobs},"finish_reason":null}}]'
        )
        rest = "," + _json(extra)[1:] if extra else "}"
        return self._text_start + (choice + rest).encode("ascii") + b"\n\n"

    def call_started(self, event: ToolCallStarted, extra: dict[str, Any]) -> bytes:
        function = {"name": event.name, "arguments": ""}
        if self._legacy:
            return self._call(event.index, {"function_call": function}, extra)
        call = {"index": event.call, "id": event.id, "type": "function", "function": function}
        return self._call(event.index, {"tool_calls": [call]}, extra)

    def call_arguments(self, event: ToolCallDelta, extra: dict[str, Any]) -> bytes:
        function = {"arguments": event.arguments}
        if self._legacy:
            return self._call(event.index, {"function_call": function}, extra)
        call = {"index": event.call, "function": function}
        return self._call(event.index, {"tool_calls": [call]}, extra)

    def finished(self, event: Finished, extra: dict[str, Any] | None = None) -> bytes:
        reason = finish_reason(event, legacy=self._legacy)
        return self._choice(event.index, {}, extra, finish_reason=reason, stop_reason=event.stop)

    def without_choices(self, extra: dict[str, Any]) -> bytes:
        return frame(self._head | {"choices": []} | extra)

    def _call(self, index: int, delta: dict[str, Any], extra: dict[str, Any]) -> bytes:
        return self._choice(index, delta, extra, finish_reason=None)

    def _choice(
        self, index: int, delta: dict[str, Any], extra: dict[str, Any] | None, **ends: Any
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None} | ends
        return frame(self._head | {"choices": [choice]} | (extra or {}))


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


async def stream_chunks(
    completion: ChatCompletion,
    head: ReplyHead,
    *,
    n: int,
    logprobs: bool = False,
    legacy: bool = False,
    include_usage: bool = False,
    continuous_usage: bool = False,
) -> AsyncIterator[bytes]:
    """The frames of a streamed reply, `[DONE]` included.

    The last chunk carries `timings`, as llama.cpp's server has it; with `continuous_usage` every
    chunk carries the usage so far.
    """
    writer = ChunkWriter(head, logprobs=logprobs, legacy=legacy)
    running = n
    async for event in completion:
        extra = usage_field(completion) if continuous_usage else {}
        match event:
            case PromptRead():
                yield writer.without_choices(progress_field(event))
            case Started(index):
                yield writer.started(index, extra)
            case TextDelta():
                yield writer.text(event, extra)
            case ToolCallStarted():
                yield writer.call_started(event, extra)
            case ToolCallDelta():
                yield writer.call_arguments(event, extra)
            case Finished():
                running -= 1
                if running == 0 and not include_usage:
                    extra |= timings_field(completion, n)
                yield writer.finished(event, extra)
    if include_usage:
        yield writer.without_choices(usage_field(completion) | timings_field(completion, n))
    yield DONE


async def whole_completion(
    completion: ChatCompletion,
    head: ReplyHead,
    *,
    n: int,
    logprobs: bool = False,
    legacy: bool = False,
) -> dict[str, Any]:
    """The `chat.completion` object, when all choices are finished."""
    answers = [_Answer() for _ in range(n)]
    async for event in completion:
        if not isinstance(event, (PromptRead, PromptScored)):
            answers[event.index].add(event)
    choices = [
        {
            "index": index,
            "message": answer.message(legacy=legacy),
            "logprobs": {"content": answer.logprobs, "refusal": None} if logprobs else None,
            "finish_reason": answer.finished and finish_reason(answer.finished, legacy=legacy),
        }
        for index, answer in enumerate(answers)
    ]
    body = {"choices": choices} | usage_field(completion) | timings_field(completion, n)
    return head.object("chat.completion") | body


def finish_reason(event: Finished, *, legacy: bool) -> str:
    """`function_call` is what `tool_calls` was once."""
    made_calls = event.reason is FinishReason.TOOL_CALLS
    return "function_call" if legacy and made_calls else event.reason.value


class _Answer:
    """The events of one choice, added up."""

    def __init__(self) -> None:
        self.logprobs = WrittenList()
        self.finished: Finished | None = None
        self._texts: list[str] = []
        self._calls: list[dict[str, Any]] = []

    def add(self, event: ChoiceEvent) -> None:
        match event:
            case TextDelta():
                self._texts.append(event.text)
                self.logprobs.add(logprob_entries(event.logprobs))
            case ToolCallStarted():
                function = {"name": event.name, "arguments": ""}
                self._calls.append({"id": event.id, "type": "function", "function": function})
            case ToolCallDelta():
                self._calls[event.call]["function"]["arguments"] += event.arguments
            case Finished():
                self.finished = event

    def message(self, *, legacy: bool) -> dict[str, Any]:
        content = "".join(self._texts) if self._texts or not self._calls else None
        message = {"role": "assistant", "content": content, "refusal": None}
        if not self._calls:
            return message
        if legacy:
            return message | {"function_call": self._calls[0]["function"]}
        return message | {"tool_calls": self._calls}
