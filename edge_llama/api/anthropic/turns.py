"""The turns of a conversation, as Anthropic's API has them: content is a string or blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, FailFast, Field, PlainValidator, model_validator
from typing_extensions import Self

from edge_llama.api.request.content import MEDIA_PARTS, TextPart, as_parts, part_text
from edge_llama.api.request.left_out import LeftOut, documented, one_of, unless_left_out
from edge_llama.api.request.validation import JSONObject, Name, Schema, TextIn, invalid, unsupported
from edge_llama.chat.messages import Message, Role, ToolCall

Texts = Annotated[
    list[Annotated[TextIn, BeforeValidator(part_text({"text": "text"}))]],
    FailFast(),
    BeforeValidator(as_parts, json_schema_input_type=TextIn | list[TextPart]),
]


class CachedBlock(Schema):
    """`cache_control` makes no difference: prompts that begin alike are always shared."""

    cache_control: Any = None


class TextBlock(CachedBlock):
    type: Literal["text"]
    text: TextIn
    citations: Any = None


class ToolUseBlock(CachedBlock):
    """A call that the model made; `input` is text if it was cut off."""

    type: Literal["tool_use"]
    id: TextIn
    name: Name
    input: JSONObject | TextIn = Field(default_factory=dict)

    def to_tool_call(self) -> ToolCall:
        written = self.input
        text = written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)
        return ToolCall(self.name, text, self.id)


class ToolResultBlock(CachedBlock):
    """What a called tool returned."""

    type: Literal["tool_result"]
    tool_use_id: TextIn
    content: Texts = Field(default_factory=list)

    def to_message(self) -> Message:
        return Message(Role.TOOL, "\n".join(self.content), tool_call_id=self.tool_use_id)


class ThinkingBlock(Schema):
    """What another model thought; this one is not shown it."""

    type: Literal["thinking", "redacted_thinking"]
    thinking: Any = None
    signature: Any = None
    data: Any = None


_BLOCKS: dict[str, type[Schema]] = {
    "text": TextBlock,
    "tool_use": ToolUseBlock,
    "tool_result": ToolResultBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": ThinkingBlock,
}


def _read_block(value: Any) -> Schema:
    if not isinstance(value, dict):
        raise invalid('must be a block such as {"type": "text", "text": "Hello"}.')
    kind = value.get("type")
    if not isinstance(kind, str):
        raise invalid("must be a string.", field="type")
    if kind in MEDIA_PARTS:
        raise unsupported(f"is of type '{kind}', but this model reads text only. Leave it out.")
    if kind not in _BLOCKS:
        served = ", ".join(f"'{name}'" for name in _BLOCKS)
        raise unsupported(f"must be one of {served}.", field="type")
    return _BLOCKS[kind].model_validate(value)


FOREIGN_BLOCKS = frozenset(
    {"server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "mcp_tool_use"}
    | {"mcp_tool_result", "code_execution_tool_result", "bash_code_execution_tool_result"}
    | {"text_editor_code_execution_tool_result", "tool_search_tool_result", "container_upload"}
    | {"tool_reference", "compaction"}
)
"""What tools that only Anthropic runs leave in a conversation."""

ForeignBlock = Annotated[LeftOut, documented({"enum": sorted(FOREIGN_BLOCKS)})]
TurnBlock: TypeAlias = TextBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | ForeignBlock
_TurnBlock: TypeAlias = Annotated[
    TurnBlock,
    PlainValidator(
        unless_left_out(_read_block, one_of(FOREIGN_BLOCKS)), json_schema_input_type=TurnBlock
    ),
]


class Turn(Schema):
    """One turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[
        list[_TurnBlock],
        FailFast(),
        BeforeValidator(as_parts, json_schema_input_type=TextIn | list[TurnBlock]),
    ]

    @model_validator(mode="after")
    def _blocks_fit_the_role(self) -> Self:
        for index, block in enumerate(self.content):
            if isinstance(block, ToolUseBlock) and self.role != "assistant":
                raise invalid(
                    "is of type 'tool_use', which only an assistant's turn can have.",
                    field=f"content[{index}]",
                )
            if isinstance(block, ToolResultBlock) and self.role != "user":
                raise invalid(
                    "is of type 'tool_result', which only a user's turn can have.",
                    field=f"content[{index}]",
                )
        return self

    def to_messages(self) -> Iterator[Message]:
        """Results of tools are turns of their own; they come before the text."""
        calls = []
        for block in self.content:
            if isinstance(block, ToolResultBlock):
                yield block.to_message()
            elif isinstance(block, ToolUseBlock):
                calls.append(block.to_tool_call())
        texts = [block.text for block in self.content if isinstance(block, TextBlock)]
        if texts or calls:
            yield Message(Role(self.role), "\n".join(texts), tuple(calls))
