"""What the server answers in OpenAI's Responses API, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from typing_extensions import NotRequired, TypedDict

from edge_llama.api.http.written_list import JSONList
from edge_llama.api.reply.shapes import ContextOverflowOut, TokenLogprobOut
from edge_llama.api.request.validation import JSONObject
from edge_llama.api.shapes import ErrorDetails

ItemEnd = Literal["completed", "incomplete"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(TypedDict):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: JSONList[TokenLogprobOut]


class OutputMessage(TypedDict):
    id: str
    type: Literal["message"]
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText]


class OutputFunctionCall(TypedDict):
    """A call; `arguments` is JSON text."""

    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


OutputItem: TypeAlias = OutputMessage | OutputFunctionCall


class ResponseError(TypedDict):
    code: str
    message: str


class IncompleteDetails(TypedDict):
    reason: Literal["max_output_tokens"]


class InputTokensDetails(TypedDict):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(TypedDict):
    reasoning_tokens: int


class ResponseUsage(TypedDict):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class Reasoning(TypedDict):
    effort: None
    summary: None


class TextSettings(TypedDict):
    format: JSONObject


class ResponseOut(TypedDict):
    """OpenAI's response object."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False]
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: None
    reasoning: Reasoning
    service_tier: Literal["default", "flex"]
    store: Literal[False]
    temperature: float
    text: TextSettings
    tool_choice: Any
    tools: list[Any]
    top_logprobs: int
    top_p: float
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None
    context_overflow: NotRequired[ContextOverflowOut]


class EventFields(TypedDict, total=False):
    """What events tell besides their type and number."""

    response: ResponseOut
    item: OutputItem
    part: OutputText
    item_id: str
    output_index: int
    content_index: int
    delta: str
    text: str
    name: str
    arguments: str
    logprobs: JSONList[TokenLogprobOut]
    error: ErrorDetails
    code: str | None
    message: str
    param: str | None


class _Typed(TypedDict):
    type: str


class _Numbered(_Typed):
    sequence_number: int


class UnnumberedEvent(_Typed, EventFields):
    """An event as it is made; it gets its number when it is sent."""


class ResponseEvent(_Numbered, EventFields):
    """One event of a streamed response, numbered through; `type` tells which fields it has.

    In order: response.created, response.in_progress, response.output_item.added,
    response.content_part.added, response.output_text.delta (any number), response.output_text.done,
    response.content_part.done, response.output_item.done; for a call
    response.output_item.added, response.function_call_arguments.delta (any number),
    response.function_call_arguments.done, response.output_item.done; then response.completed or
    response.incomplete. After an error: error, response.failed.
    """
