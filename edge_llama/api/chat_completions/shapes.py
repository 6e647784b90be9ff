"""What the server answers in OpenAI's API, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal

from typing_extensions import NotRequired, TypedDict


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


class Timings(TypedDict):
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


class TokenLogprob(TopLogprob):
    """A token of the output and the likeliest ones at its place."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(TypedDict):
    content: list[TokenLogprob]
    refusal: None


class ContextOverflow(TypedDict):
    """What was left out of a conversation that was too long."""

    dropped_messages: int
    dropped_tokens: int


FinishReason = Literal["stop", "length", "tool_calls", "function_call", "abort"]


class CalledFunction(TypedDict):
    """`arguments` is JSON text."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatCompletionMessage(TypedDict):
    """`content` is null when there are only calls."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: NotRequired[list[ToolCall]]
    function_call: NotRequired[CalledFunction]


class ChatCompletionChoice(TypedDict):
    index: int
    message: ChatCompletionMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(TypedDict):
    """OpenAI's chat completion; `timings` with one choice only."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    context_overflow: NotRequired[ContextOverflow]
    choices: list[ChatCompletionChoice]
    usage: CompletionUsage
    timings: NotRequired[Timings]


class CalledFunctionDelta(TypedDict):
    name: NotRequired[str]
    arguments: str


class ToolCallDelta(TypedDict):
    """Part of a call; its first has the id and the name."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: CalledFunctionDelta


class ChatCompletionDelta(TypedDict):
    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    tool_calls: NotRequired[list[ToolCallDelta]]
    function_call: NotRequired[CalledFunctionDelta]


class ChatCompletionChunkChoice(TypedDict):
    """Part of a choice; its last has `finish_reason`, and the stop string that matched, if any."""

    index: int
    delta: ChatCompletionDelta
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason | None
    stop_reason: NotRequired[str | None]


class PromptProgress(TypedDict):
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


class ChatCompletionChunk(TypedDict):
    """One event of a streamed chat completion; the stream ends with `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    context_overflow: NotRequired[ContextOverflow]
    choices: list[ChatCompletionChunkChoice]
    usage: NotRequired[CompletionUsage]
    timings: NotRequired[Timings]
    prompt_progress: NotRequired[PromptProgress]


class Model(TypedDict):
    """OpenAI's model object, and more; what nobody knows yet is null.

    `type` is `embeddings` if the model cannot continue texts; any model can embed them, as
    `embedding_length` numbers.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    type: Literal["llm", "embeddings"] | None
    aliases: list[str]
    state: Literal["available", "waiting", "loading", "loaded", "restarting", "unloading", "failed"]
    context_length: int | None
    max_model_len: int | None
    quantization: str | None
    parameters: int | None
    embedding_length: int | None


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[Model]


class ModelHealth(TypedDict):
    id: str
    state: str


class Health(TypedDict):
    """`status` is `ok`, or why the server cannot take requests."""

    status: str
    models: list[ModelHealth]


class Status(TypedDict):
    status: Literal["ok"]
