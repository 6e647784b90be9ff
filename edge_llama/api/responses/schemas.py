"""ResponsesRequest: the body of POST /v1/responses."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FailFast, Field, PlainValidator, model_validator
from typing_extensions import NotRequired, Self

from edge_llama.api.request.content import MAX_MESSAGES
from edge_llama.api.request.left_out import LeftOut, documented, other_than, unless_left_out
from edge_llama.api.request.sampling import ConversationRequest, TopLogprobs, most_tokens
from edge_llama.api.request.tools import (
    MAX_TOOLS,
    FunctionShape,
    ToolChoiceIn,
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
    TextIn,
    invalid,
    missing,
    without_nul,
)
from edge_llama.api.responses.items import InputItem, Item, to_messages
from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.chat.tools.tool import CallMode, ToolChoice
from edge_llama.engine.protocol.grammar import Grammar
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.settings.server import ContextOverflow

LOGPROBS = "message.output_text.logprobs"
"""The only entry of `include` that there is something for."""

_HARMLESS_VALUES: dict[str, tuple[Any, ...]] = HARMLESS_VALUES | {
    "background": (False,),
    "conversation": (),
    "functions": ([],),
    "logprobs": (False,),
    "max_completion_tokens": (),
    "max_tokens": (),
    "messages": (),
    "n": (1,),
    "n_predict": (-1,),
    "previous_response_id": (),
    "prompt": (),
    "response_format": (),
    "return_progress": (False,),
    "chat_template_kwargs": ({},),
}


def _as_items(value: Any) -> Any:
    if isinstance(value, str):
        return [{"role": "user", "content": without_nul(value)}]
    if isinstance(value, list):
        return value
    raise invalid("must be a string or a list of items.")


class FlatFunction(FunctionShape):
    """A function, as the Responses API has it."""

    type: NotRequired[Literal["function"]]


def _flat_function(value: Any) -> JSONObject:
    if not isinstance(value, dict):
        raise invalid('must be a function such as {"type": "function", "name": "now"}.')
    return function_definition({k: v for k, v in value.items() if k != "type"})


class TextFormat(Schema):
    """Free text, any JSON object, or JSON that is valid against a schema."""

    type: Literal["text", "json_object", "json_schema"]
    name: TextIn | None = None
    description: TextIn | None = None
    strict: bool | None = None
    schema_: Annotated[JSONObject | None, Field(alias="schema")] = None

    @model_validator(mode="after")
    def _has_a_schema(self) -> Self:
        if self.type == "json_schema" and self.schema_ is None:
            raise missing("schema")
        return self

    def to_grammar(self) -> Grammar | None:
        """What an answer must look like; None if it is free.

        Raises:
            InvalidValue: the schema cannot be used; `param` names the keyword.
        """
        if self.type == "text":
            return None
        if self.schema_ is None:
            return json_schema_grammar({"type": "object"}, param="text.format")
        return json_schema_grammar(self.schema_, param="text.format.schema")


class TextConfig(Schema):
    """The form of the answer."""

    format: TextFormat | None = None


class ResponsesRequest(ConversationRequest):
    """OpenAI's request for a response, with the sampling parameters of llama.cpp and vLLM.

    The server keeps no conversations: all that was said is in `input`.
    """

    harmless_values = _HARMLESS_VALUES

    model: Name
    input: Annotated[
        list[InputItem],
        FailFast(),
        Field(min_length=1, max_length=MAX_MESSAGES),
        BeforeValidator(_as_items, json_schema_input_type=str | list[Item]),
    ]
    instructions: TextIn | None = None
    max_output_tokens: Count | None = None
    include: Annotated[list[str], FailFast()] = Field(default_factory=list)
    top_logprobs: TopLogprobs = 0
    truncation: Literal["auto", "disabled"] | None = None
    text: TextConfig | None = None
    tools: Annotated[
        list[
            Annotated[
                JSONObject | LeftOut,
                PlainValidator(
                    unless_left_out(_flat_function, other_than("function")),
                    json_schema_input_type=FlatFunction
                    | Annotated[LeftOut, documented({"not": {"const": "function"}})],
                ),
            ]
        ],
        FailFast(),
        Field(max_length=MAX_TOOLS),
    ] = Field(default_factory=list)
    tool_choice: ToolChoiceIn = ToolChoice()
    parallel_tool_calls: bool = True
    stream: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.check_min_tokens(most_tokens(self.max_output_tokens))
        return self

    def to_chat_request(self) -> ChatRequest:
        """The request without HTTP and OpenAI.

        Raises:
            RequestError: parameters are out of range, or do not fit together.
        """
        tools = tuple(as_tool(definition, "parameters") for definition in self._functions())
        parallel = self.tool_choice.parallel and self.parallel_tool_calls
        check_tools(tools, self.tool_choice)
        system = () if self.instructions is None else (Message(Role.SYSTEM, self.instructions),)
        return ChatRequest(
            messages=(*system, *to_messages(self.input)),
            tools=tools,
            tool_choice=replace(self.tool_choice, parallel=parallel),
            options=GenerationOptions(
                sampling=self.sampling(),
                max_tokens=most_tokens(self.max_output_tokens),
                grammar=self.form("text.format", self._text_format().to_grammar()),
                logprobs=self.top_logprobs if self._tells_logprobs() else None,
                tier=self.tier,
            ),
            stop=tuple(self.stop),
            overflow=self.context_overflow or self._truncation(),
            schema_hint=self.told_schema(self._text_format().schema_),
        )

    def _tells_logprobs(self) -> bool:
        return self.top_logprobs > 0 or LOGPROBS in self.include

    def _truncation(self) -> ContextOverflow | None:
        """`disabled` is what clients send who know no other, and leaves it to the server."""
        return "truncate_oldest" if self.truncation == "auto" else None

    @property
    def told_tool_choice(self) -> Any:
        """`tool_choice` as the response repeats it."""
        choice = self.tool_choice
        if choice.names is None:
            return choice.mode.value
        named = [{"type": "function", "name": name} for name in sorted(choice.names)]
        if choice.mode is CallMode.REQUIRED and len(named) == 1:
            return named[0]
        return {"type": "allowed_tools", "mode": choice.mode.value, "tools": named}

    @property
    def told_tools(self) -> list[JSONObject]:
        """`tools` as the response repeats them."""
        absent = {"description": None, "parameters": None, "strict": None}
        return [{"type": "function"} | absent | definition for definition in self._functions()]

    def _functions(self) -> list[JSONObject]:
        """The tools that are used."""
        return [tool for tool in self.tools if not isinstance(tool, LeftOut)]

    @property
    def text_format(self) -> JSONObject:
        """`text.format` as the response repeats it."""
        return self._text_format().model_dump(by_alias=True, exclude_none=True)

    def _text_format(self) -> TextFormat:
        form = None if self.text is None else self.text.format
        return form or TextFormat(type="text")
