"""The bodies of POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FailFast, Field, PlainValidator, model_validator
from typing_extensions import NotRequired, Self, TypedDict

from edge_llama.api.anthropic.turns import Texts, Turn
from edge_llama.api.request.content import MAX_MESSAGES
from edge_llama.api.request.left_out import LeftOut, documented, other_than, unless_left_out
from edge_llama.api.request.request_body import RequestBody
from edge_llama.api.request.sampling import MAX_STOPS, ConversationRequest, Stop, most_tokens
from edge_llama.api.request.tools import (
    MAX_TOOLS,
    FunctionName,
    as_tool,
    check_tools,
    function_definition,
)
from edge_llama.api.request.unsupported import HARMLESS_VALUES
from edge_llama.api.request.validation import (
    Count,
    JSONObject,
    Name,
    Schema,
    invalid,
    missing,
)
from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.chat.messages import ChatRequest, Message, Role, TemplateOptions
from edge_llama.chat.tools.tool import CallMode, Tool, ToolChoice
from edge_llama.engine.protocol.grammar import Grammar
from edge_llama.engine.protocol.request import GenerationOptions

_HARMLESS_VALUES: dict[str, tuple[Any, ...]] = HARMLESS_VALUES | {
    "container": (),
    "functions": ([],),
    "logprobs": (False,),
    "max_completion_tokens": (),
    "n": (1,),
    "n_predict": (-1,),
    "response_format": (),
    "return_progress": (False,),
    "chat_template_kwargs": ({},),
    "top_logprobs": (0,),
}

FORMAT = "output_config.format"


class JSONFormat(Schema):
    """JSON that is valid against a schema."""

    type: Literal["json_schema"]
    schema_: Annotated[JSONObject, Field(alias="schema")]

    def to_grammar(self) -> Grammar:
        return json_schema_grammar(self.schema_, param=f"{FORMAT}.schema")


class OutputConfig(Schema):
    """The form of the answer."""

    format: JSONFormat | None = None


class CustomTool(TypedDict):
    """A tool, its input described by a JSON Schema."""

    name: FunctionName
    description: NotRequired[str | None]
    input_schema: NotRequired[JSONObject]
    type: NotRequired[Literal["custom"] | None]


def _custom_tool(value: Any) -> JSONObject:
    """The tool as a function."""
    if not isinstance(value, dict):
        raise invalid('must be a tool such as {"name": "now", "input_schema": {}}.')
    fields = {"name": "name", "description": "description", "parameters": "input_schema"}
    if not isinstance(value.get("input_schema", {}), dict):
        raise invalid("must be a JSON Schema.", field="input_schema")
    return function_definition({name: value.get(field) for name, field in fields.items()})


class ToolUse(Schema):
    """Whether the model may, or must, call a tool."""

    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool = False

    @model_validator(mode="after")
    def _names_a_tool(self) -> Self:
        if self.type == "tool" and self.name is None:
            raise missing("name")
        return self

    def to_choice(self) -> ToolChoice:
        parallel = not self.disable_parallel_tool_use
        if self.type == "tool" and self.name is not None:
            return ToolChoice(CallMode.REQUIRED, frozenset({self.name}), parallel)
        mode = CallMode.REQUIRED if self.type == "any" else CallMode(self.type)
        return ToolChoice(mode, parallel=parallel)


def _as_tool_use(value: Any) -> Any:
    """OpenAI's words for it too."""
    if isinstance(value, str):
        value = {"type": value}
    if isinstance(value, dict) and value.get("type") == "required":
        return {**value, "type": "any"}
    return value


ToolUseIn = Annotated[
    ToolUse,
    BeforeValidator(
        _as_tool_use,
        json_schema_input_type=ToolUse | Literal["auto", "any", "none", "required"],
    ),
]


_BOOKKEEPING = re.compile(r"\A(?:x-anthropic-[a-z0-9-]+: [^\n]*(?:\n|\Z))+", re.I)


def _without_bookkeeping(text: str) -> str:
    """A system text without what a client noted for Anthropic at its begin, in lines like those of
    headers: `x-anthropic-billing-header: …` is another one in each request, and would keep the
    prompts from beginning alike.
    """
    return _BOOKKEEPING.sub("", text)


class Conversation(RequestBody):
    """What was said, and the model that is to read it."""

    harmless_values = _HARMLESS_VALUES

    model: Name
    messages: Annotated[list[Turn], FailFast(), Field(min_length=1, max_length=MAX_MESSAGES)]
    system: Texts = Field(default_factory=list)
    tools: Annotated[
        list[
            Annotated[
                JSONObject | LeftOut,
                PlainValidator(
                    unless_left_out(_custom_tool, other_than("custom")),
                    json_schema_input_type=CustomTool
                    | Annotated[LeftOut, documented({"not": {"const": "custom"}})],
                ),
            ]
        ],
        FailFast(),
        Field(max_length=MAX_TOOLS),
    ] = Field(default_factory=list)
    tool_choice: ToolUseIn = ToolUse(type="auto")

    def to_tools(self) -> tuple[Tool, ...]:
        """The tools, which fit the choice of them.

        Raises:
            InvalidValue: they do not.
        """
        used = (tool for tool in self.tools if not isinstance(tool, LeftOut))
        tools = tuple(as_tool(definition, "input_schema") for definition in used)
        check_tools(tools, self.tool_choice.to_choice())
        return tools

    def to_messages(self) -> tuple[Message, ...]:
        """The system prompt and the turns, free of HTTP and Anthropic."""
        texts = [text for text in map(_without_bookkeeping, self.system) if text]
        system = (Message(Role.SYSTEM, "\n".join(texts)),) if texts else ()
        return (*system, *(message for turn in self.messages for message in turn.to_messages()))


class MessagesRequest(Conversation, ConversationRequest):
    """Anthropic's request for a message, with the sampling parameters of llama.cpp and vLLM."""

    max_tokens: Count
    stop_sequences: Annotated[list[Stop], FailFast(), Field(max_length=MAX_STOPS)] = Field(
        default_factory=list
    )
    output_config: OutputConfig | None = None
    stream: bool = False

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        self.check_min_tokens(self.max_tokens)
        return self

    def to_chat_request(self) -> ChatRequest:
        """The request without HTTP and Anthropic.

        Raises:
            RequestError: parameters are out of range, or do not fit together.
        """
        messages = self.to_messages()
        return ChatRequest(
            messages=messages,
            template=TemplateOptions(continues=self._continues(messages)),
            tools=self.to_tools(),
            tool_choice=self.tool_choice.to_choice(),
            options=GenerationOptions(
                sampling=self.sampling(),
                max_tokens=most_tokens(self.max_tokens),
                grammar=self.form(FORMAT, self._format()),
                tier=self.tier,
            ),
            stop=(*self.stop, *self.stop_sequences),
            overflow=self.context_overflow,
            schema_hint=self.told_schema(self._schema()),
        )

    def _continues(self, messages: Sequence[Message]) -> bool:
        """An assistant's text at the end is the begin of the answer."""
        return bool(messages) and messages[-1].role is Role.ASSISTANT

    def _schema(self) -> JSONObject | None:
        form = None if self.output_config is None else self.output_config.format
        return None if form is None else form.schema_

    def _format(self) -> Grammar | None:
        form = None if self.output_config is None else self.output_config.format
        return None if form is None else form.to_grammar()
