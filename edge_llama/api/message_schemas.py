"""The messages of a chat request, as OpenAI's API has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FailFast, Field, model_validator
from typing_extensions import Self

from edge_llama.api.validation import Name, Schema, Text, invalid, missing, unsupported, without_nul
from edge_llama.chat.messages import Message, Role, ToolCall

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
_MEDIA_PARTS = frozenset(
    {"image_url", "input_image", "image", "input_audio", "audio", "file", "input_file"}
    | {"video_url", "input_video", "video"}
)


class FunctionCall(Schema):
    """What an assistant turn called; `arguments` is JSON text."""

    name: Name
    arguments: Text = "{}"


def _not_custom(kind: Any) -> Any:
    if kind == "custom":
        raise unsupported("is 'custom', but only functions can be called. Leave it out.")
    return kind


class MessageToolCall(Schema):
    """One entry of an assistant turn's `tool_calls`."""

    id: Text = ""
    type: Annotated[Literal["function"], BeforeValidator(_not_custom)] = "function"
    function: FunctionCall

    def to_tool_call(self) -> ToolCall:
        return ToolCall(self.function.name, self.function.arguments, self.id)


def _as_parts(content: Any) -> Any:
    if isinstance(content, str):
        return [{"type": "text", "text": without_nul(content)}]
    if isinstance(content, list):
        return content
    raise invalid("must be a string or a list of text parts.")


def _part_text(part: Any) -> Any:
    """The text of a content part; pydantic checks that it is a string."""
    if not isinstance(part, dict):
        raise invalid('must be a part such as {"type": "text", "text": "Hello"}.')
    kind = part.get("type")
    if kind in ("text", "refusal"):
        if part.get(kind) is None:
            raise missing(kind)
        if not isinstance(part[kind], str):
            raise invalid("must be a string.", field=kind)
        return part[kind]
    if isinstance(kind, str) and kind in _MEDIA_PARTS:
        raise unsupported(f"is of type '{kind}', but this model reads text only. Leave it out.")
    raise invalid("must be 'text' or 'refusal'.", field="type")


Content = Annotated[
    list[Annotated[Text, BeforeValidator(_part_text)]], FailFast(), BeforeValidator(_as_parts)
]


class ChatMessage(Schema):
    """One turn; `name` and other keys are tolerated."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = Field(default_factory=list)
    refusal: Text | None = None
    tool_calls: Annotated[list[MessageToolCall], FailFast()] = Field(default_factory=list)
    function_call: FunctionCall | None = None
    tool_call_id: Text | None = None
    audio: Any = None

    @model_validator(mode="after")
    def _fits_its_role(self) -> Self:
        if self.audio is not None:
            raise unsupported("is not supported: this model reads text only.", field="audio")
        if not self.content and self.role != "assistant":
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
