"""What answers of several APIs have in common, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal

from typing_extensions import NotRequired, TypedDict

from edge_llama.api.http.written_list import JSONList


class PromptTokensDetails(TypedDict):
    cached_tokens: int
    audio_tokens: int


class CompletionTokensDetails(TypedDict):
    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class CompletionUsage(TypedDict):
    """Tokens of the prompt, once, and of all choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class TimingsOut(TypedDict):
    """llama.cpp's timings: tokens, milliseconds, tokens per second; `cache_n` is not computed."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float


class TopLogprob(TypedDict):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprobOut(TopLogprob):
    """A token of the output and the likeliest ones at its place."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(TypedDict):
    content: JSONList[TokenLogprobOut]
    refusal: None


class ContextOverflowOut(TypedDict):
    """What was left out of a conversation that was too long."""

    dropped_messages: int
    dropped_tokens: int


FinishReasonOut = Literal["stop", "length", "tool_calls", "function_call", "abort"]


class PromptProgressOut(TypedDict):
    """llama.cpp's progress of a prompt: tokens, and milliseconds since it began to be read.

    `eta_ms` is what the rest takes, null before there is a pace; `queue_position` tells how many
    others are first, and is null once the prompt is being read; `prompt` is the prompt's number,
    if the request has several.
    """

    total: int
    cache: int
    processed: int
    time_ms: int
    eta_ms: int | None
    queue_position: int | None
    prompt: NotRequired[int]


class Shortened(TypedDict, total=False):
    """What answers tell of a conversation of which something was left out."""

    context_overflow: ContextOverflowOut


class Timed(TypedDict, total=False):
    """What answers tell of the time, if it was that of one choice."""

    timings: TimingsOut


class Extras(Timed, total=False):
    """What chunks tell besides their choices, if it was asked for."""

    usage: CompletionUsage
    prompt_progress: PromptProgressOut
