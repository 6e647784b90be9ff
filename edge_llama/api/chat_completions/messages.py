"""The messages of a chat request, as OpenAI's API has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)
from typing_extensions import Self

from edge_llama.api.request.content import RefusalPart, TextPart, as_parts, part_text
from edge_llama.api.request.tools import only_functions
from edge_llama.api.request.validation import Name, Schema, TextIn, missing, unsupported
from edge_llama.chat.messages import Message, Role, ToolCall

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}


class FunctionCall(Schema):
    """What an assistant turn called; `arguments` is JSON text."""

    name: Name
    arguments: TextIn = "{}"


class MessageToolCall(Schema):
    """One entry of an assistant turn's `tool_calls`."""

    id: TextIn = ""
    type: Annotated[
        Literal["function"],
        BeforeValidator(only_functions, json_schema_input_type=Literal["function"]),
    ] = "function"
    function: FunctionCall

    def to_tool_call(self) -> ToolCall:
        return ToolCall(self.function.name, self.function.arguments, self.id)


ChatContent = Annotated[
    list[Annotated[TextIn, BeforeValidator(part_text({"text": "text", "refusal": "refusal"}))]],
    FailFast(),
    BeforeValidator(as_parts, json_schema_input_type=TextIn | list[TextPart | RefusalPart]),
]


def _of_role(role: str) -> dict[str, JsonValue]:
    return {"properties": {"role": {"const": role}}}


_MAY_BE_SILENT = ("assistant", "tool", "function")

_NEEDED_BY_ROLE: list[JsonValue] = [
    {
        "if": {"properties": {"role": {"enum": [*_MAY_BE_SILENT]}}},
        "else": {
            "properties": {"content": {"type": ["string", "array"], "minItems": 1}},
            "required": ["content"],
        },
    },
    {
        "if": _of_role("tool"),
        "then": {
            "properties": {"tool_call_id": {"type": "string"}},
            "required": ["tool_call_id"],
        },
    },
]


class ChatMessage(Schema):
    """One turn; `name` and other keys are tolerated."""

    model_config = ConfigDict(json_schema_extra={"allOf": _NEEDED_BY_ROLE})

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: ChatContent = Field(default_factory=list)
    refusal: TextIn | None = None
    tool_calls: Annotated[list[MessageToolCall], FailFast()] = Field(default_factory=list)
    function_call: FunctionCall | None = None
    tool_call_id: TextIn | None = None
    audio: Annotated[Any, WithJsonSchema({"type": "null"})] = None

    @model_validator(mode="after")
    def _fits_its_role(self) -> Self:
        if self.audio is not None:
            raise unsupported("is not supported: this model reads text only.", field="audio")
        if not self.content and self.role not in _MAY_BE_SILENT:
            raise missing("content")
        if self.role == "tool" and self.tool_call_id is None:
            raise missing("tool_call_id")
        return self

    def to_message(self) -> Message:
        return Message(
            role=_ROLES[self.role],
            content="\n".join(self.content) or self.refusal or "",
            tool_calls=self._calls() if self.role == "assistant" else (),
            tool_call_id=self.tool_call_id if self.role == "tool" else None,
        )

    def _calls(self) -> tuple[ToolCall, ...]:
        calls = tuple(call.to_tool_call() for call in self.tool_calls)
        if self.function_call is not None:
            calls += (ToolCall(self.function_call.name, self.function_call.arguments),)
        return calls
