"""A conversation, free of HTTP: messages, tools and the request built of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from edge_llama.chat.infill import Infill
from edge_llama.chat.meter import UsageMeter
from edge_llama.chat.tools.tool import CallMode, Tool, ToolChoice
from edge_llama.engine.protocol.kinds import see_kind, wrong_kind
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.errors import InvalidValue
from edge_llama.settings.server import ContextOverflow

TextOrIds: TypeAlias = str | tuple[int | str, ...]
"""A text, or token ids, among which there may be texts."""


class Role(str, Enum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


def role_of(name: object) -> Role:
    """The role of that name.

    Raises:
        InvalidValue: there is none.
    """
    try:
        return Role(name)
    except ValueError:
        roles = ", ".join(role.value for role in Role)
        raise wrong_kind("role", name, f"one of {roles}") from None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made. `arguments` is JSON text, as OpenAI's API has it.

    Raises:
        InvalidValue: a field is no string.
    """

    name: str
    arguments: str
    id: str = ""

    def __post_init__(self) -> None:
        see_kind("name", self.name, str, "a string")
        see_kind("arguments", self.arguments, str, "JSON text, which is a string")
        see_kind("id", self.id, str, "a string")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_calls` only on assistant turns, `tool_call_id` only on tool turns.

    `Message("user", "Hello!")` is taken too.

    Raises:
        InvalidValue: a field has a value of another kind.
    """

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.role, Role):
            object.__setattr__(self, "role", role_of(self.role))
        see_kind("content", self.content, str, "a string")
        if not isinstance(self.tool_calls, tuple):
            see_kind("tool_calls", self.tool_calls, list, "a list of ToolCall")
            object.__setattr__(self, "tool_calls", tuple(self.tool_calls))
        for call in self.tool_calls:
            see_kind("tool_calls", call, ToolCall, "a list of ToolCall")


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """What a chat template can be asked for.

    Attributes:
        builtin_tools: built-in tools that the model may use; None is another thing than none.
        date: today's date as the model is told it; None leaves it to the calendar.
        tools_in_user_message: functions are declared in the first user turn, not in the system's.
        others: variables of templates other than Llama 3.1's, by name.
        continues: the last message, the assistant's, is not ended: the answer goes on with it.
    """

    builtin_tools: tuple[str, ...] | None = None
    date: str | None = None
    tools_in_user_message: bool = True
    others: Mapping[str, Any] = field(default_factory=dict)
    continues: bool = False


DEFAULT_OPTIONS = TemplateOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """How a prompt is to be answered, whatever it is made of.

    Attributes:
        options: what is asked of each choice.
        stop: strings that end a choice, after `min_tokens` of the sampling; they are not part of
            its text. A single string is one of them.
        meter: counts what it uses.

    Raises:
        InvalidValue: a field has a value of another kind.
    """

    options: GenerationOptions = field(default_factory=GenerationOptions)
    stop: tuple[str, ...] = ()
    meter: UsageMeter | None = None

    def __post_init__(self) -> None:
        see_kind("options", self.options, GenerationOptions, "a GenerationOptions")
        if not isinstance(self.stop, tuple):
            see_kind("stop", self.stop, (str, list), "a list of strings")
            several = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
            object.__setattr__(self, "stop", several)
        for text in self.stop:
            see_kind("stop", text, str, "a list of strings")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(AnswerRequest):
    """One chat completion.

    Attributes:
        messages: at least one; OpenAI's dicts, such as `{"role": "user", "content": "Hello!"}`, are
            taken too, and a list.
        tools: functions declared to the model; OpenAI's dicts are taken too.
        tool_choice: what it may do with them.
        strict: refuse what cannot be used whole, such as schemas of arguments of which something
            cannot be enforced.
        template: how the conversation is written.
        told_tools: the tools stand in the system message.
        schema_hint: the JSON Schema of the answer, which the model is to be told; None tells none.
        overflow: what becomes of it when it is too long; None refuses it.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    strict: bool = False
    template: TemplateOptions = DEFAULT_OPTIONS
    overflow: ContextOverflow | None = None
    told_tools: bool = False
    schema_hint: str | None = None

    def __post_init__(self) -> None:
        AnswerRequest.__post_init__(self)
        object.__setattr__(self, "messages", as_messages(self.messages))
        object.__setattr__(self, "tools", as_tools(self.tools))
        if isinstance(self.tool_choice, str):
            object.__setattr__(self, "tool_choice", ToolChoice(self.tool_choice))
        see_kind("tool_choice", self.tool_choice, ToolChoice, "a ToolChoice")
        see_kind("template", self.template, TemplateOptions, "a TemplateOptions")

    @property
    def offered_tools(self) -> tuple[Tool, ...]:
        """The functions that the model is shown: without a choice, none tempt it."""
        hidden = self.told_tools or self.tool_choice.mode is CallMode.NONE
        return () if hidden else self.tools

    @property
    def calls_tools(self) -> bool:
        """An answer may have calls."""
        has_any = bool(self.tools or self.template.builtin_tools)
        return has_any and self.tool_choice.mode is not CallMode.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest(AnswerRequest):
    """One continuation of a text.

    Attributes:
        prompt: the text, in which control tokens may be spelled out, or its token ids, among which
            may be texts; or a text whose middle is asked for.
        bos: begin a text with the token that begins every prompt; token ids are taken as they are.
    """

    prompt: TextOrIds | Infill
    bos: bool = True

    def __post_init__(self) -> None:
        AnswerRequest.__post_init__(self)
        if isinstance(self.prompt, list):
            object.__setattr__(self, "prompt", tuple(self.prompt))
        see_kind("prompt", self.prompt, (str, tuple, Infill), "a string, or a list of token ids")


def as_messages(given: object) -> tuple[Message, ...]:
    """Messages from messages or OpenAI's dicts.

    Raises:
        InvalidValue: one is neither.
    """
    wanted = 'a list of Message, or of dicts such as {"role": "user", "content": "Hello!"}'
    see_kind("messages", given, (tuple, list), wanted)
    assert isinstance(given, tuple | list)
    return tuple(_as_message(message, index, wanted) for index, message in enumerate(given))


def _as_message(given: object, index: int, wanted: str) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, dict):
        raise wrong_kind("messages", given, wanted)
    fields = dict(given)
    if fields.get("content") is None:
        fields["content"] = ""
    if (calls := fields.pop("tool_calls", None)) is not None:
        see_kind("tool_calls", calls, (tuple, list), "a list of calls")
        fields["tool_calls"] = tuple(map(_as_call, calls))
    try:
        return Message(**fields)
    except TypeError:
        known = ", ".join(Message.__dataclass_fields__)
        raise InvalidValue(
            f"`messages[{index}]` must have a role, and of other keys only {known}.",
            param=f"messages[{index}]",
        ) from None


def _as_call(given: object) -> ToolCall:
    if isinstance(given, ToolCall):
        return given
    function = given.get("function", given) if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(function, dict):
        raise wrong_kind("tool_calls", given, "a list of ToolCall, or of OpenAI's dicts")
    return ToolCall(function.get("name", ""), function.get("arguments", ""), given.get("id") or "")


def as_tools(given: object) -> tuple[Tool, ...]:
    """Tools from tools or OpenAI's dicts.

    Raises:
        InvalidValue: one is neither.
    """
    see_kind("tools", given, (tuple, list), "a list of Tool, or of OpenAI's dicts")
    assert isinstance(given, tuple | list)
    return tuple((tool if isinstance(tool, Tool) else Tool(tool)).whole() for tool in given)
