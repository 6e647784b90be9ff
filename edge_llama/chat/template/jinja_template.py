"""JinjaTemplate: the chat template that a GGUF brings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from edge_llama.chat.messages import DEFAULT_OPTIONS, Message, Role, TemplateOptions, ToolCall
from edge_llama.chat.template.calendar import Calendar
from edge_llama.chat.template.control_pattern import control_pattern, findable
from edge_llama.chat.template.jinja_process import JinjaProcess
from edge_llama.chat.template.json_text import call_arguments, dump_json
from edge_llama.chat.tools.marked_form import form_of
from edge_llama.chat.tools.tool import Tool
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.prompt import Control, Prompt, Segment, Text
from edge_llama.errors import InvalidValue, TemplateError

NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Unicode keeps these free for the inner use of programs."""

PROBE = "probe_7f3a9c"
"""The name of a tool that no conversation has."""

MAX_CONVERSATION = 2 * 1024 * 1024
"""Characters of a conversation as JSON, far beyond what fits into any model's context."""

_JOINING = re.compile("join|regex|replace|split|striptags")
"""In templates that can take characters out of a text, or put texts together."""


class JinjaTemplate:
    """Renders with the GGUF's template, in a process of its own (see `jinja_worker`).

    Control tokens that the template writes become `Control` segments. Before rendering, a mark is
    put into every spelling of one in messages and tools, a noncharacter that the conversation does
    not have; so what comes from there stays text. The mark is taken out again afterwards. A
    template that joins pieces of text may still make a spelling of them: such a conversation is
    refused.

    Args:
        info: of the model.
        source: the template; None is the model's own.
        tool_source: the one for conversations with tools; empty takes `source`.
        calendar: tells the date to templates that ask for it.

    Raises:
        TemplateError: the template cannot be compiled.
    """

    def __init__(
        self,
        info: ModelInfo,
        source: str | None = None,
        *,
        tool_source: str = "",
        calendar: Calendar | None = None,
    ) -> None:
        source = info.chat_template if source is None else source
        self._template = source + tool_source
        self._calendar = calendar or Calendar()
        self._process = JinjaProcess(source, info.bos_token, info.eos_token)
        self._tool_process = self._process
        if tool_source:
            self._tool_process = JinjaProcess(tool_source, info.bos_token, info.eos_token)
        self.call_form = form_of(tool_source or source)
        self._bos = Control(info.bos_token) if info.bos_token in info.control_tokens else None
        spellings = findable(info.control_tokens)
        self._control = control_pattern(spellings)
        self._start_of_control = re.compile(
            f"(?={self._control.pattern})(?P<first>.)", re.IGNORECASE | re.DOTALL
        )
        # Letters are left out: role names, which the template compares, must stay whole.
        signs = "".join(sorted({t[0] for t in spellings if not t[0].isalnum()}))
        self._first_sign = re.compile(f"(?P<first>[{re.escape(signs)}])" if signs else "(?!)")
        self._joins = _JOINING.search(self._template) is not None

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: TemplateOptions = DEFAULT_OPTIONS,
    ) -> Prompt:
        """The prompt, up to and with the header of the assistant's turn.

        Raises:
            InvalidValue: the template refused the conversation or would join parts of it to a
                control token, or a field of it is unusable.
            TemplateError: the template failed or ran into a limit.
        """
        unknown = self.unknown_arguments(options)
        arguments = _arguments(options)
        conversation = {
            "messages": list(_message_objects(messages)),
            "tools": [tool.definition for tool in tools] or None,
            "arguments": {n: v for n, v in arguments.items() if n not in unknown},
            "answers": not options.continues,
        }
        mark = self._free_mark(_checked_json(conversation))
        try:
            marked = _mark(conversation, mark, self._start_of_control)
            wary = _mark(conversation, mark, self._first_sign) if self._joins else marked
        except RecursionError:
            raise InvalidValue("The tools are nested too deeply.", param="tools") from None
        segments = self._segments(marked, mark)
        if wary != marked and _controls(segments) != _controls(self._segments(wary, mark)):
            raise InvalidValue("The messages form control tokens.", param="messages")
        if self._bos is not None and segments[:1] != (self._bos,):
            return (self._bos, *segments)
        return segments

    @cached_property
    def _shows_tools(self) -> bool:
        probe = {"type": "function", "function": {"name": PROBE, "parameters": {}}}
        asked = {"messages": [{"role": "user", "content": "Hi"}], "tools": [probe]}
        try:
            probed = {**asked, "arguments": {}, "answers": True}
            return PROBE in self._rendered(probed, NONCHARACTERS[0])
        except (InvalidValue, TemplateError):
            return True  # it wants another conversation, and may show them in that

    def shows_tools(self) -> bool:
        return self._shows_tools

    def unknown_arguments(self, options: TemplateOptions) -> list[str]:
        return [
            name
            for name in _arguments(options)
            if not re.search(rf"\b{re.escape(name)}\b", self._template)
        ]

    def _free_mark(self, text: str) -> str:
        for mark in NONCHARACTERS:
            if mark not in text and mark not in self._template:
                return mark
        raise InvalidValue("The messages use every Unicode noncharacter.", param="messages")

    def _segments(self, marked: Any, mark: str) -> Prompt:
        text = self._rendered(marked, mark)
        if not marked["answers"]:
            text = _up_to_the_end_of(marked["messages"][-1]["content"], text)
        return tuple(self._split(text, mark))

    def _rendered(self, conversation: dict[str, Any], mark: str) -> str:
        process = self._tool_process if conversation["tools"] else self._process
        today = self._calendar.day(asked=True).isoformat()
        return process.render({**conversation, "mark": mark, "today": today})

    def _split(self, rendered: str, mark: str) -> Iterator[Segment]:
        for position, piece in enumerate(self._control.split(rendered)):
            if position % 2:
                yield Control(piece)
            elif text := piece.replace(mark, ""):
                yield Text(text)


def _mark(value: Any, mark: str, places: re.Pattern[str]) -> Any:
    """`value` with the mark behind every first character of a control token in `places`."""
    if isinstance(value, str):
        return places.sub(rf"\g<first>{mark}", value)
    if isinstance(value, dict):
        return {_mark(k, mark, places): _mark(v, mark, places) for k, v in value.items()}
    if isinstance(value, list):
        return [_mark(item, mark, places) for item in value]
    return value


def _up_to_the_end_of(content: str, text: str) -> str:
    """What a template wrote, without all that ends its last message."""
    begun = content.strip()
    place = text.rfind(begun)
    if place < 0:
        raise InvalidValue(
            "This model's chat template changes the text of the last message, so that it cannot be "
            "continued. End the conversation with a user's message.",
            param="messages",
        )
    return text[: place + len(begun)] + content[len(content.rstrip()) :]


def _arguments(options: TemplateOptions) -> dict[str, Any]:
    """What is asked of the template, by the names of its variables."""
    given: dict[str, Any] = {
        "builtin_tools": None if options.builtin_tools is None else list(options.builtin_tools),
        "date_string": options.date,
        "tools_in_user_message": None if options.tools_in_user_message else False,
    }
    return {name: value for name, value in given.items() if value is not None} | dict(
        options.others
    )


def _controls(segments: Prompt) -> list[Segment]:
    return [segment for segment in segments if isinstance(segment, Control)]


def _checked_json(conversation: dict[str, Any]) -> str:
    text = dump_json(conversation, param="messages")
    if len(text) > MAX_CONVERSATION:
        raise InvalidValue(
            f"The messages have {len(text)} characters; at most {MAX_CONVERSATION} are possible.",
            param="messages",
        )
    return text


def _message_objects(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    for index, message in enumerate(messages):
        fields: dict[str, Any] = {"role": message.role.value, "content": message.content}
        if message.tool_calls:
            fields["tool_calls"] = [
                _call_object(call, f"messages[{index}].tool_calls[{number}]")
                for number, call in enumerate(message.tool_calls)
            ]
        if message.role is Role.TOOL and message.tool_call_id is not None:
            fields["tool_call_id"] = message.tool_call_id
            fields["name"] = names.get(message.tool_call_id, "")
        yield fields


def _call_object(call: ToolCall, param: str) -> dict[str, Any]:
    arguments = call_arguments(call.arguments, param=f"{param}.function.arguments")
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}
