"""The tools of a request, as OpenAI's APIs have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, FailFast, Field, PlainValidator
from typing_extensions import NotRequired, TypedDict

from edge_llama.api.request.left_out import LeftOut, documented, other_than, unless_left_out
from edge_llama.api.request.validation import (
    JSONObject,
    Schema,
    TextIn,
    invalid,
    missing,
    unsupported,
)
from edge_llama.chat.messages import TemplateOptions
from edge_llama.chat.tools.tool import BUILTIN_TOOLS, CallMode, Tool, ToolChoice
from edge_llama.errors import InvalidValue

MAX_TOOLS = 128

_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
FunctionName = Annotated[str, Field(pattern=f"^{_NAME.pattern}$")]
_OPTIONAL = {"description": (str, "a string"), "parameters": (dict, "a JSON Schema")}


def only_functions(kind: Any) -> Any:
    """For the `type` of a call or of a choice."""
    if kind == "custom":
        raise unsupported("is 'custom', but only functions can be called. Leave it out.")
    return kind


def function_definition(value: JSONObject) -> JSONObject:
    """A function as the model is shown it: without what is null."""
    name = value.get("name")
    if name is None:
        raise missing("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid("must be 1 to 128 letters, digits or any of _.:/-", field="name")
    for field, (kind, words) in _OPTIONAL.items():
        if not isinstance(value.get(field), (kind, type(None))):
            raise invalid(f"must be {words}.", field=field)
    return {k: v for k, v in value.items() if v is not None}


class FunctionShape(TypedDict):
    """A function, its arguments described by a JSON Schema."""

    name: FunctionName
    description: NotRequired[str | None]
    parameters: NotRequired[JSONObject | None]
    strict: NotRequired[Any]


def _function(value: Any) -> JSONObject:
    if not isinstance(value, dict):
        raise invalid("must be an object.")
    return function_definition(value)


FunctionDefinition = Annotated[
    JSONObject, PlainValidator(_function, json_schema_input_type=FunctionShape)
]


class FunctionTool(Schema):
    """A function that the model may call."""

    type: Literal["function"] = "function"
    function: FunctionDefinition


ToolIn = Annotated[
    FunctionTool | LeftOut,
    PlainValidator(
        unless_left_out(FunctionTool.model_validate, other_than("function")),
        json_schema_input_type=FunctionTool
        | Annotated[LeftOut, documented({"not": {"const": "function"}})],
    ),
]
Tools = Annotated[list[ToolIn], FailFast(), Field(max_length=MAX_TOOLS)]
"""The functions of a chat. Tools of other kinds are left out."""


def functions_of(tools: Sequence[FunctionTool | LeftOut]) -> list[JSONObject]:
    """The functions among the tools."""
    return [tool.function for tool in tools if isinstance(tool, FunctionTool)]


def as_tool(definition: JSONObject, schema_path: str = "function.parameters") -> Tool:
    return Tool({"type": "function", "function": definition}, schema_path)


_MODES = {mode.value: mode for mode in CallMode} | {"any": CallMode.REQUIRED}
"""`any` is Anthropic's and Mistral's word."""


def _tool_choice(value: Any) -> ToolChoice:
    if isinstance(value, str):
        if value not in _MODES:
            raise invalid("must be 'none', 'auto', 'required' or a tool.")
        return ToolChoice(_MODES[value])
    if not isinstance(value, dict):
        raise invalid('must be "auto", "none", "required" or an object that names a tool.')
    if value.get("type") == "allowed_tools":
        return _allowed_tools(value.get("allowed_tools", value))
    if value.get("type") in _MODES and not value.keys() & {"function", "name"}:
        return ToolChoice(_MODES[value["type"]])
    only_functions(value.get("type"))
    return ToolChoice(CallMode.REQUIRED, frozenset({_tool_name(value)}), parallel=False)


def _allowed_tools(value: Any) -> ToolChoice:
    if not isinstance(value, dict) or not isinstance(value.get("tools"), list):
        raise invalid("must list the tools that are allowed.", field="tools")
    mode = value.get("mode", "auto")
    if mode not in ("auto", "required"):
        raise invalid("must be 'auto' or 'required'.", field="mode")
    return ToolChoice(CallMode(mode), frozenset(map(_tool_name, value["tools"])))


def _tool_name(value: Any) -> str:
    """Of a tool: nested as in chats, or flat as in responses."""
    holder = value.get("function", value) if isinstance(value, dict) else None
    name = holder.get("name") if isinstance(holder, dict) else None
    if not isinstance(name, str):
        raise invalid("must name a function: this server runs no tools of other kinds.")
    return name


ToolChoiceIn = Annotated[
    ToolChoice,
    PlainValidator(
        _tool_choice,
        json_schema_input_type=Literal["none", "auto", "required", "any"] | JSONObject,
    ),
]


def check_tools(tools: Sequence[Tool], choice: ToolChoice, builtin: Sequence[str] = ()) -> None:
    """See that tools and choice fit together.

    Raises:
        InvalidValue: they do not.
    """
    names = [tool.name for tool in tools] + list(builtin)
    if len(names) > MAX_TOOLS:
        raise InvalidValue(f"tools must have at most {MAX_TOOLS} entries.", param="tools")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidValue(f"tools has {name} twice.", param="tools")
    if choice.mode is CallMode.REQUIRED and not names:
        raise InvalidValue(
            "tool_choice asks for a call, and tools has no function that could be called.",
            param="tool_choice",
        )
    for name in choice.names or ():
        if name not in names:
            raise InvalidValue(
                f"tool_choice names {name[:128]}, which is not among the tools.",
                param="tool_choice",
            )


def _builtin_tools(value: Any) -> Any:
    if not isinstance(value, list) or not all(name in BUILTIN_TOOLS for name in value):
        raise invalid(f"must be a list of {', '.join(BUILTIN_TOOLS)}.")
    return value


RESERVED = frozenset({"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"})
"""Variables of chat templates that are not a client's to set."""


def _names_of_variables(value: Any) -> Any:
    if not isinstance(value, dict):
        raise invalid("must be an object.")
    for key in value:
        if key in RESERVED or not _VARIABLE.fullmatch(key):
            raise invalid("is no variable that a request can set. Leave it out.", field=key)
    return value


class TemplateArguments(Schema):
    """Variables of the model's chat template, under its names. Those that are here are Llama 3.1's.

    What a template does not know is not used, and named as such.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "propertyNames": {
                "pattern": "^[A-Za-z][A-Za-z0-9_]*$",
                "not": {"enum": [*sorted(RESERVED)]},
            }
        }
    )
    takes_all = True

    builtin_tools: (
        Annotated[
            list[str],
            BeforeValidator(
                _builtin_tools,
                json_schema_input_type=list[
                    Literal["brave_search", "wolfram_alpha", "code_interpreter"]
                ],
            ),
        ]
        | None
    ) = None
    date_string: TextIn | None = None
    tools_in_user_message: bool = True

    def to_options(self) -> TemplateOptions:
        return TemplateOptions(
            builtin_tools=None if self.builtin_tools is None else tuple(self.builtin_tools),
            date=self.date_string,
            tools_in_user_message=self.tools_in_user_message,
            others=dict(self.model_extra or {}),
        )


TemplateArgumentsField = Annotated[TemplateArguments, BeforeValidator(_names_of_variables)]
