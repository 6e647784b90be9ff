"""What the server answers in OpenAI's chat API, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal

from typing_extensions import NotRequired, TypedDict

from edge_llama.api.reply.shapes import (
    ChoiceLogprobs,
    CompletionUsage,
    ContextOverflowOut,
    FinishReasonOut,
    PromptProgressOut,
    TimingsOut,
)


class CalledFunction(TypedDict):
    """`arguments` is JSON text."""

    name: str
    arguments: str


class ToolCallOut(TypedDict):
    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatCompletionMessage(TypedDict):
    """`content` is null when there are only calls."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: NotRequired[list[ToolCallOut]]
    function_call: NotRequired[CalledFunction]


class ChatCompletionChoice(TypedDict):
    index: int
    message: ChatCompletionMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReasonOut


class ChatCompletionOut(TypedDict):
    """OpenAI's chat completion; `timings` with one choice only."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    context_overflow: NotRequired[ContextOverflowOut]
    choices: list[ChatCompletionChoice]
    usage: CompletionUsage
    timings: NotRequired[TimingsOut]


class CalledFunctionDelta(TypedDict):
    name: NotRequired[str]
    arguments: str


class ToolCallDeltaOut(TypedDict):
    """Part of a call; its first has the id and the name."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: CalledFunctionDelta


class ChatCompletionDelta(TypedDict):
    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    tool_calls: NotRequired[list[ToolCallDeltaOut]]
    function_call: NotRequired[CalledFunctionDelta]


class ChatCompletionChunkChoice(TypedDict):
    """Part of a choice; its last has `finish_reason`, and the stop string that matched, if any."""

    index: int
    delta: ChatCompletionDelta
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReasonOut | None
    stop_reason: NotRequired[str | None]


class ChatCompletionChunk(TypedDict):
    """One event of a streamed chat completion; the stream ends with `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    context_overflow: NotRequired[ContextOverflowOut]
    choices: list[ChatCompletionChunkChoice]
    usage: NotRequired[CompletionUsage]
    timings: NotRequired[TimingsOut]
    prompt_progress: NotRequired[PromptProgressOut]
