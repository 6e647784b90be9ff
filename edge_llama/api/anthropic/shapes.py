"""What the server answers in Anthropic's API, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from typing_extensions import NotRequired, TypedDict

from edge_llama.api.reply.shapes import ContextOverflowOut
from edge_llama.api.request.validation import JSONObject
from edge_llama.api.shapes import AnthropicErrorDetails


class MessageText(TypedDict):
    type: Literal["text"]
    text: str


class MessageToolUse(TypedDict):
    """A call of a tool."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: JSONObject


MessageContent: TypeAlias = MessageText | MessageToolUse


class MessageUsage(TypedDict):
    """`input_tokens` leaves out those that were cached."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int


StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"
]


class MessageOut(TypedDict):
    """Anthropic's message."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[MessageContent]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: MessageUsage
    context_overflow: NotRequired[ContextOverflowOut]


class MessageDelta(TypedDict):
    """Text, a part of a call's input as JSON, or how the message ended."""

    type: NotRequired[Literal["text_delta", "input_json_delta"]]
    text: NotRequired[str]
    partial_json: NotRequired[str]
    stop_reason: NotRequired[StopReason]
    stop_sequence: NotRequired[str | None]


class MessageEvent(TypedDict):
    """One event of a streamed message; `type` tells which fields it has.

    In order: message_start, content_block_start, ping, content_block_delta (any number),
    content_block_stop, message_delta, message_stop. After an error: error.
    """

    type: Literal[
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    ]
    message: NotRequired[MessageOut]
    index: NotRequired[int]
    content_block: NotRequired[MessageContent]
    delta: NotRequired[MessageDelta]
    usage: NotRequired[MessageUsage]
    error: NotRequired[AnthropicErrorDetails]


class TokenCount(TypedDict):
    input_tokens: int


class AnthropicModel(TypedDict):
    """A model; what nobody knows before it is loaded is null."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"]
    max_input_tokens: int | None
    max_tokens: int | None


class AnthropicModelList(TypedDict):
    """One page that has all models."""

    data: list[AnthropicModel]
    first_id: str | None
    last_id: str | None
    has_more: Literal[False]
