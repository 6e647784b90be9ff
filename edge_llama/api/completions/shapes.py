"""What the server answers in OpenAI's completions API, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal

from typing_extensions import NotRequired, TypedDict

from edge_llama.api.http.written_list import JSONList
from edge_llama.api.reply.shapes import (
    CompletionUsage,
    FinishReasonOut,
    PromptProgressOut,
    TimingsOut,
)


class CompletionLogprobs(TypedDict):
    """Lists with an entry for each token; the first of an echoed prompt has no log-probability."""

    tokens: JSONList[str]
    token_logprobs: JSONList[float | None]
    top_logprobs: JSONList[dict[str, float] | None] | None
    text_offset: JSONList[int]


class CompletionChoice(TypedDict):
    """A choice, or in a stream a part of it; the last part has `finish_reason`."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReasonOut | None
    stop_reason: NotRequired[str | None]


class Completion(TypedDict):
    """OpenAI's text completion, whole or an event of a stream, which ends with `[DONE]`."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: NotRequired[CompletionUsage]
    timings: NotRequired[TimingsOut]
    prompt_progress: NotRequired[PromptProgressOut]
