"""OpenAI's chunks of a streamed chat completion, made from chat events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from edge_llama.api.chat_completions.finish_reason import finish_reason
from edge_llama.api.chat_completions.head import ReplyHead
from edge_llama.api.chat_completions.shapes import (
    CalledFunctionDelta,
    ChatCompletionChunk,
    ChatCompletionChunkChoice,
    ChatCompletionDelta,
    ToolCallDeltaOut,
)
from edge_llama.api.http.sse import DONE, frame
from edge_llama.api.reply.logprobs import chat_logprobs
from edge_llama.api.reply.shapes import Extras
from edge_llama.api.reply.usage import progress_object, timed, usage_object
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import Finished, Started, TextDelta, ToolCallDelta, ToolCallStarted
from edge_llama.engine.protocol.output import PromptRead


class ChunkWriter:
    """The frames of one stream. A text chunk costs one JSON string, the rest is a template.

    Args:
        head: what all chunks have in common.
        logprobs: whether they tell log-probabilities.
        legacy: calls are written as `function_call`, the old way.
    """

    def __init__(self, head: ReplyHead, *, logprobs: bool = False, legacy: bool = False) -> None:
        self._legacy = legacy
        self._empty = head.chunk({})
        self._text_start = frame(self._empty).removesuffix(b"]}\n\n")
        self._logprobs = logprobs

    def started(self, index: int, extra: Extras | None = None) -> bytes:
        return self._delta(index, {"role": "assistant", "content": ""}, extra)

    def text(self, event: TextDelta, extra: Extras | None = None) -> bytes:
        logprobs = _json(chat_logprobs(event.logprobs)) if self._logprobs else "null"
        choice = (
            f'{{"index":{event.index},"delta":{{"content":{json.dumps(event.text)}}},'
            f'"logprobs":{logprobs},"finish_reason":null}}]'
        )
        rest = "," + _json(extra)[1:] if extra else "}"
        return self._text_start + (choice + rest).encode("ascii") + b"\n\n"

    def call_started(self, event: ToolCallStarted, extra: Extras) -> bytes:
        function: CalledFunctionDelta = {"name": event.name, "arguments": ""}
        if self._legacy:
            return self._delta(event.index, {"function_call": function}, extra)
        call: ToolCallDeltaOut = {
            "index": event.call,
            "id": event.id,
            "type": "function",
            "function": function,
        }
        return self._delta(event.index, {"tool_calls": [call]}, extra)

    def call_arguments(self, event: ToolCallDelta, extra: Extras) -> bytes:
        function: CalledFunctionDelta = {"arguments": event.arguments}
        if self._legacy:
            return self._delta(event.index, {"function_call": function}, extra)
        call: ToolCallDeltaOut = {"index": event.call, "function": function}
        return self._delta(event.index, {"tool_calls": [call]}, extra)

    def finished(self, event: Finished, extra: Extras | None = None) -> bytes:
        choice: ChatCompletionChunkChoice = {
            "index": event.index,
            "delta": {},
            "logprobs": None,
            "finish_reason": finish_reason(event, legacy=self._legacy),
            "stop_reason": event.stop,
        }
        return self._chunk([choice], extra)

    def without_choices(self, extra: Extras) -> bytes:
        return self._chunk([], extra)

    def _delta(self, index: int, delta: ChatCompletionDelta, extra: Extras | None) -> bytes:
        choice: ChatCompletionChunkChoice = {
            "index": index,
            "delta": delta,
            "logprobs": None,
            "finish_reason": None,
        }
        return self._chunk([choice], extra)

    def _chunk(self, choices: list[ChatCompletionChunkChoice], extra: Extras | None) -> bytes:
        chunk: ChatCompletionChunk = {**self._empty, "choices": choices, **(extra or {})}
        return frame(chunk)


def _json(value: object) -> str:
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
) -> AsyncGenerator[bytes, None]:
    """The frames of a streamed reply, `[DONE]` included.

    The last chunk carries `timings`, as llama.cpp's server has it; with `continuous_usage` every
    chunk carries the usage so far.
    """
    writer = ChunkWriter(head, logprobs=logprobs, legacy=legacy)
    running = n
    async for event in completion:
        extra: Extras = _usage(completion) if continuous_usage else {}
        match event:
            case PromptRead():
                yield writer.without_choices({"prompt_progress": progress_object(event)})
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
                    extra = {**extra, **timed(completion, n)}
                yield writer.finished(event, extra)
    if include_usage:
        yield writer.without_choices({**_usage(completion), **timed(completion, n)})
    yield DONE


def _usage(completion: ChatCompletion) -> Extras:
    return {"usage": usage_object(completion.usage)}
