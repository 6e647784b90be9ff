"""Output: what one step gave one sequence."""

from __future__ import annotations

import enum

import msgspec


class FinishReason(str, enum.Enum):
    """Why a sequence ended. Of those that stopped, only a chat knows which called tools."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    TOOL_CALLS = "tool_calls"


class Timings(msgspec.Struct, frozen=True, array_like=True):
    """Where a sequence's time went, in milliseconds.

    Attributes:
        queue_ms: from arrival to admission.
        prompt_ms: from admission to the first token.
        predicted_ms: from the first token to the last.
    """

    queue_ms: float
    prompt_ms: float
    predicted_ms: float


class ScoredToken(msgspec.Struct, frozen=True, array_like=True):
    """A token and the model's log-probability of it, before bias, penalties and temperature.

    Attributes:
        token: its id.
        piece: its bytes; empty for control tokens.
        logprob: natural logarithm.
        top: the most likely tokens at its place, best first, if they were asked for.
    """

    token: int
    piece: bytes
    logprob: float
    top: tuple[ScoredToken, ...] = ()


class PromptRead(msgspec.Struct, frozen=True, array_like=True):
    """How far a prompt is read, if that was asked for: comes before anything else.

    Attributes:
        total: its tokens.
        cached: how many of them did not have to be read.
        processed: how many of them are read, cached ones included.
        milliseconds: since it began to be read.
        ahead: how many others are before it in the queue; None once it is being read.
    """

    total: int
    cached: int
    processed: int
    milliseconds: float
    ahead: int | None = None

    @property
    def eta_milliseconds(self) -> float | None:
        """What the rest takes at the pace so far; None before there is one."""
        read = self.processed - self.cached
        return self.milliseconds * (self.total - self.processed) / read if read > 0 else None


class Output(msgspec.Struct, frozen=True, array_like=True):
    """What one step gave one sequence.

    Attributes:
        id: the request.
        index: the choice.
        tokens: new token ids, an end-of-generation token included.
        pieces: their bytes; empty for control tokens.
        cached_tokens: prompt tokens that were taken from the KV cache.
        finish: set in the last output of a sequence.
        timings: so far.
        logprobs: one entry per token, if they were asked for.
        prompt_logprobs: of the prompt's next tokens, if they were asked for; only of choice 0.
        progress: if it was asked for, until the first token; only of choice 0.
        embedding: with `finish`, if it was asked for: little-endian float32, of length 1.
    """

    id: int
    index: int
    tokens: tuple[int, ...]
    pieces: tuple[bytes, ...]
    timings: Timings
    cached_tokens: int = 0
    finish: FinishReason | None = None
    logprobs: tuple[ScoredToken, ...] = ()
    prompt_logprobs: tuple[ScoredToken, ...] = ()
    progress: PromptRead | None = None
    embedding: bytes = b""
