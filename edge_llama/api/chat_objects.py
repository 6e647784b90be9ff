"""OpenAI's chat objects, made from chat events: the streamed chunks and the whole completion."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from edge_llama.api.sse import DONE, frame
from edge_llama.api.usage import timings_object, usage_object
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import Finished, Started, TextDelta

_TEXT_END = b'},"logprobs":null,"finish_reason":null}]}\n\n'


@dataclass(frozen=True)
class ReplyHead:
    """What all objects of one reply have in common; `model` is the name the request used."""

    model: str
    system_fingerprint: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def object(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
        }


class ChunkWriter:
    """The frames of one stream. A text chunk costs one JSON string, the rest is a template."""

    def __init__(self, head: ReplyHead) -> None:
        self._head = head.object("chat.completion.chunk")
        self._text_start = frame(self._head | {"choices": []}).removesuffix(b"]}\n\n")

    def started(self, index: int) -> bytes:
        return self._choice(index, {"role": "assistant", "content": ""}, finish_reason=None)

    def text(self, index: int, text: str) -> bytes:
        choice = f'{{"index":{index},"delta":{{"content":{json.dumps(text)}'
        return self._text_start + choice.encode("ascii") + _TEXT_END

    def finished(self, event: Finished, extra: dict[str, Any]) -> bytes:
        reason = event.reason.value
        return self._choice(event.index, {}, extra, finish_reason=reason, stop_reason=event.stop)

    def usage(self, usage: dict[str, Any], extra: dict[str, Any]) -> bytes:
        return frame(self._head | {"choices": [], "usage": usage} | extra)

    def _choice(
        self, index: int, delta: dict[str, str], extra: dict[str, Any] | None = None, **ends: Any
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None} | ends
        return frame(self._head | {"choices": [choice]} | (extra or {}))


async def stream_chunks(
    completion: ChatCompletion, head: ReplyHead, *, n: int, include_usage: bool
) -> AsyncIterator[bytes]:
    """The frames of a streamed reply, `[DONE]` included.

    The last chunk carries `timings`, as llama.cpp's server has it.
    """
    writer = ChunkWriter(head)
    running = n
    async for event in completion:
        match event:
            case Started(index):
                yield writer.started(index)
            case TextDelta(index, text):
                yield writer.text(index, text)
            case Finished():
                running -= 1
                is_last = running == 0 and not include_usage
                yield writer.finished(event, timings_object(completion, n) if is_last else {})
    if include_usage:
        yield writer.usage(usage_object(completion.usage), timings_object(completion, n))
    yield DONE


async def whole_completion(
    completion: ChatCompletion, head: ReplyHead, *, n: int
) -> dict[str, Any]:
    """The `chat.completion` object, when all choices are finished."""
    texts: list[list[str]] = [[] for _ in range(n)]
    reasons: list[str | None] = [None] * n
    async for event in completion:
        match event:
            case TextDelta(index, text):
                texts[index].append(text)
            case Finished(index, reason):
                reasons[index] = reason.value
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": "".join(parts), "refusal": None},
            "logprobs": None,
            "finish_reason": reason,
        }
        for index, (parts, reason) in enumerate(zip(texts, reasons, strict=True))
    ]
    body = {"choices": choices, "usage": usage_object(completion.usage)}
    return head.object("chat.completion") | body | timings_object(completion, n)
