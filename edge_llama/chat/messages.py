"""A conversation, free of HTTP: messages, tools and the request built of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from edge_llama.chat.meter import UsageMeter
from edge_llama.chat.tools.tool import CallMode, Tool, ToolChoice
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.settings.server import ContextOverflow


class Role(str, Enum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made. `arguments` is JSON text, as OpenAI's API has it."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_calls` only on assistant turns, `tool_call_id` only on tool turns."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """What a chat template can be asked for.

    Attributes:
        builtin_tools: built-in tools that the model may use; None is another thing than none.
        date: today's date as the model is told it; None leaves it to the calendar.
        tools_in_user_message: functions are declared in the first user turn, not in the system's.
        others: variables of templates other than Llama 3.1's, by name.
    """

    builtin_tools: tuple[str, ...] | None = None
    date: str | None = None
    tools_in_user_message: bool = True
    others: Mapping[str, Any] = field(default_factory=dict)


DEFAULT_OPTIONS = TemplateOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """How a prompt is to be answered, whatever it is made of.

    Attributes:
        options: what is asked of each choice.
        stop: strings that end a choice, after `min_tokens` of the sampling; they are not part of
            its text.
        meter: counts what it uses.
    """

    options: GenerationOptions = field(default_factory=GenerationOptions)
    stop: tuple[str, ...] = ()
    meter: UsageMeter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(AnswerRequest):
    """One chat completion.

    Attributes:
        messages: at least one.
        tools: functions declared to the model.
        tool_choice: what it may do with them.
        strict: refuse what cannot be used whole, such as schemas of arguments of which something
            cannot be enforced.
        template: how the conversation is written.
        told_tools: the tools stand in the system message.
        overflow: what becomes of it when it is too long; None refuses it.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    strict: bool = False
    template: TemplateOptions = DEFAULT_OPTIONS
    overflow: ContextOverflow | None = None
    told_tools: bool = False

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
        prompt: the text, in which control tokens may be spelled out, or its token ids.
        bos: begin a text with the token that begins every prompt; token ids are taken as they are.
    """

    prompt: str | tuple[int, ...]
    bos: bool = True
