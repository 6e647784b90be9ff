"""The bodies of POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, FailFast, Field, model_validator
from typing_extensions import Self

from edge_llama.api.anthropic.turns import Texts, Turn
from edge_llama.api.sampling_schemas import MAX_STOPS, SampledRequest, Stop, most_tokens
from edge_llama.api.schemas import MAX_MESSAGES
from edge_llama.api.unsupported import HARMLESS_VALUES, refuse_unsupported
from edge_llama.api.validation import Count, Name, Schema, invalid, unsupported, validate
from edge_llama.chat.messages import ChatRequest, Message, Role

_HARMLESS_VALUES: dict[str, tuple[Any, ...]] = HARMLESS_VALUES | {
    "container": (),
    "functions": ([],),
    "logprobs": (False,),
    "max_completion_tokens": (),
    "mcp_servers": ([],),
    "n": (1,),
    "response_format": (),
    "tool_choice": ({"type": "auto"}, {"type": "none"}),
    "tools": ([],),
    "top_logprobs": (0,),
}


def _no_format(value: Any) -> Any:
    if value is not None:
        raise unsupported("is not supported by this server. Leave it out.")
    return value


class OutputConfig(Schema):
    """The form of the answer."""

    format: Annotated[Any, BeforeValidator(_no_format)] = None


class Conversation(Schema):
    """What was said, and the model that is to read it."""

    model: Name
    messages: Annotated[list[Turn], FailFast(), Field(min_length=1, max_length=MAX_MESSAGES)]
    system: Texts = Field(default_factory=list)

    def to_messages(self) -> tuple[Message, ...]:
        """The system prompt and the turns, free of HTTP and Anthropic."""
        system = (Message(Role.SYSTEM, "\n".join(self.system)),) if self.system else ()
        return (*system, *(message for turn in self.messages for message in turn.to_messages()))


class MessagesRequest(Conversation, SampledRequest):
    """Anthropic's request for a message, with the sampling parameters of llama.cpp and vLLM."""

    max_tokens: Count
    stop_sequences: Annotated[list[Stop], FailFast(), Field(max_length=MAX_STOPS)] = Field(
        default_factory=list
    )
    output_config: OutputConfig | None = None
    stream: bool = False

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.messages[-1].role == "assistant":
            raise invalid(
                "must end with a user's turn: this server does not continue an assistant's text.",
                field="messages",
            )
        self.check_min_tokens(self.max_tokens)
        return self

    def to_chat_request(self) -> ChatRequest:
        """The request without HTTP and Anthropic.

        Raises:
            InvalidValue: a sampling parameter is out of range.
        """
        return ChatRequest(
            messages=self.to_messages(),
            sampling=self.sampling(),
            max_tokens=most_tokens(self.max_tokens),
            stop=(*self.stop, *self.stop_sequences),
            tier=self.tier,
        )


def parse_messages_request(body: Mapping[str, Any]) -> MessagesRequest:
    """The validated request.

    Raises:
        RequestError: a parameter has a wrong value or is not supported; `param` names it.
    """
    refuse_unsupported(body, _HARMLESS_VALUES)
    return validate(MessagesRequest, body)


def parse_conversation(body: Mapping[str, Any]) -> Conversation:
    """The validated conversation, whose tokens are to be counted.

    Raises:
        RequestError: a parameter has a wrong value or is not supported; `param` names it.
    """
    refuse_unsupported(body, _HARMLESS_VALUES)
    return validate(Conversation, body)
