"""OpenAI's chat objects, made from chat events: the streamed chunks and the whole completion."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from edge_llama.api.chat_logprobs import chat_logprobs
from edge_llama.api.sse import DONE, frame
from edge_llama.api.unique_id import unique_id
from edge_llama.api.usage import overflow_field, progress_field, timings_field, usage_field
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import Finished, PromptRead, Started, TextDelta
from edge_llama.chat.logprobs import TokenLogprob
from edge_llama.chat.overflow import Dropped


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
    """

    def __init__(self, head: ReplyHead, *, logprobs: bool = False) -> None:
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

    def finished(self, event: Finished, extra: dict[str, Any] | None = None) -> bytes:
        reason = event.reason.value
        return self._choice(event.index, {}, extra, finish_reason=reason, stop_reason=event.stop)

    def without_choices(self, extra: dict[str, Any]) -> bytes:
        return frame(self._head | {"choices": []} | extra)

    def _choice(
        self, index: int, delta: dict[str, str], extra: dict[str, Any] | None, **ends: Any
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
    include_usage: bool = False,
    continuous_usage: bool = False,
) -> AsyncIterator[bytes]:
    """The frames of a streamed reply, `[DONE]` included.

    The last chunk carries `timings`, as llama.cpp's server has it; with `continuous_usage` every
    chunk carries the usage so far.
    """
    writer = ChunkWriter(head, logprobs=logprobs)
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
            case Finished():
                running -= 1
                if running == 0 and not include_usage:
                    extra |= timings_field(completion, n)
                yield writer.finished(event, extra)
    if include_usage:
        yield writer.without_choices(usage_field(completion) | timings_field(completion, n))
    yield DONE


async def whole_completion(
    completion: ChatCompletion, head: ReplyHead, *, n: int, logprobs: bool = False
) -> dict[str, Any]:
    """The `chat.completion` object, when all choices are finished."""
    texts: list[list[str]] = [[] for _ in range(n)]
    tokens: list[list[TokenLogprob]] = [[] for _ in range(n)]
    reasons: list[str | None] = [None] * n
    async for event in completion:
        match event:
            case TextDelta(index, text):
                texts[index].append(text)
                tokens[index] += event.logprobs
            case Finished(index, reason):
                reasons[index] = reason.value
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": "".join(texts[index]), "refusal": None},
            "logprobs": chat_logprobs(tokens[index]) if logprobs else None,
            "finish_reason": reasons[index],
        }
        for index in range(n)
    ]
    body = {"choices": choices} | usage_field(completion) | timings_field(completion, n)
    return head.object("chat.completion") | body
