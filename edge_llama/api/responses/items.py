"""What the Responses API takes as input: a text, or items of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, FailFast, PlainValidator
from typing_extensions import TypedDict

from edge_llama.api.request.content import as_parts, part_text
from edge_llama.api.request.left_out import LeftOut, documented, one_of, unless_left_out
from edge_llama.api.request.validation import Name, Schema, TextIn, invalid, unsupported
from edge_llama.chat.messages import Message, Role, ToolCall

_PART_FIELDS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
}


class InputPart(TypedDict):
    type: Literal["input_text", "output_text", "text"]
    text: TextIn


ItemContent = Annotated[
    list[Annotated[TextIn, BeforeValidator(part_text(_PART_FIELDS))]],
    FailFast(),
    BeforeValidator(as_parts, json_schema_input_type=TextIn | list[InputPart]),
]


class ReplayedItem(Schema):
    """What all items have that a response had before: it says nothing to the model."""

    id: Any = None
    status: Any = None


class MessageItem(ReplayedItem):
    """One turn. `type` may be left out, as OpenAI's own examples do."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: ItemContent

    def to_message(self) -> Message:
        role = Role.SYSTEM if self.role == "developer" else Role(self.role)
        return Message(role, "\n".join(self.content))


class FunctionCallItem(ReplayedItem):
    """A call that the model made; `arguments` is JSON text."""

    type: Literal["function_call"]
    call_id: TextIn
    name: Name
    arguments: TextIn = "{}"

    def to_tool_call(self) -> ToolCall:
        return ToolCall(self.name, self.arguments, self.call_id)


class FunctionCallOutputItem(ReplayedItem):
    """What a called function returned."""

    type: Literal["function_call_output"]
    call_id: TextIn
    output: ItemContent

    def to_message(self) -> Message:
        return Message(Role.TOOL, "\n".join(self.output), tool_call_id=self.call_id)


class ReasoningItem(ReplayedItem):
    """What another model thought; this one is not shown it."""

    type: Literal["reasoning"]
    summary: Any = None
    content: Any = None
    encrypted_content: Any = None


_ITEMS: dict[str, type[Schema]] = {
    "message": MessageItem,
    "function_call": FunctionCallItem,
    "function_call_output": FunctionCallOutputItem,
    "reasoning": ReasoningItem,
}


FOREIGN_ITEMS = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"}
    | {"computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output"}
    | {"shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output"}
    | {"custom_tool_call", "custom_tool_call_output", "compaction"}
    | {"mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"}
)
"""What tools that only OpenAI runs leave in a conversation."""


def _read_item(value: Any) -> Schema:
    if not isinstance(value, dict):
        raise invalid('must be an item such as {"role": "user", "content": "Hello"}.')
    kind = value.get("type") or "message"
    if not isinstance(kind, str):
        raise invalid("must be a string.", field="type")
    if kind not in _ITEMS:
        served = ", ".join(f"'{name}'" for name in _ITEMS)
        raise unsupported(f"must be one of {served}.", field="type")
    return _ITEMS[kind].model_validate(value)


ForeignItem = Annotated[LeftOut, documented({"enum": sorted(FOREIGN_ITEMS)})]
Item: TypeAlias = (
    MessageItem | FunctionCallItem | FunctionCallOutputItem | ReasoningItem | ForeignItem
)
InputItem: TypeAlias = Annotated[
    Item,
    PlainValidator(unless_left_out(_read_item, one_of(FOREIGN_ITEMS)), json_schema_input_type=Item),
]


def to_messages(items: Iterable[Item]) -> Iterator[Message]:
    """The conversation. Calls that follow each other are one turn of the assistant."""
    calls: list[ToolCall] = []
    for item in items:
        match item:
            case FunctionCallItem():
                calls.append(item.to_tool_call())
            case MessageItem() | FunctionCallOutputItem():
                if calls:
                    yield Message(Role.ASSISTANT, tool_calls=tuple(calls))
                    calls.clear()
                yield item.to_message()
    if calls:
        yield Message(Role.ASSISTANT, tool_calls=tuple(calls))
