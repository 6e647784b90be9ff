"""ReplyHead: what all objects of one chat reply begin with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from edge_llama.api.chat_completions.shapes import (
    ChatCompletionChoice,
    ChatCompletionChunk,
    ChatCompletionOut,
)
from edge_llama.api.reply.shapes import CompletionUsage, Extras, Timed
from edge_llama.api.reply.unique_id import unique_id
from edge_llama.api.reply.usage import shortened
from edge_llama.chat.overflow import Dropped


@dataclass(frozen=True)
class ReplyHead:
    """What all objects of one reply have in common; `model` is the name the request used."""

    model: str
    system_fingerprint: str
    dropped: Dropped | None = None
    id: str = field(default_factory=lambda: unique_id("chatcmpl", "-"))
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(self, extras: Extras) -> ChatCompletionChunk:
        """A chunk without choices."""
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
            **shortened(self.dropped),
            "choices": [],
            **extras,
        }

    def completion(
        self, choices: list[ChatCompletionChoice], usage: CompletionUsage, timings: Timed
    ) -> ChatCompletionOut:
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
            **shortened(self.dropped),
            "choices": choices,
            "usage": usage,
            **timings,
        }
