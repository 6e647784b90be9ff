"""JinjaTemplate: the chat template that a GGUF brings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from edge_llama.chat.messages import DEFAULT_OPTIONS, Message, Role, TemplateOptions, ToolCall
from edge_llama.chat.template.control_pattern import control_pattern, findable
from edge_llama.chat.template.jinja_process import JinjaProcess
from edge_llama.chat.template.json_text import call_arguments, dump_json
from edge_llama.chat.tools.tool import Tool
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.prompt import Control, Prompt, Segment, Text
from edge_llama.errors import InvalidValue

NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Unicode keeps these free for the inner use of programs."""

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

    Raises:
        TemplateError: the template cannot be compiled.
    """

    def __init__(self, info: ModelInfo) -> None:
        self._template = info.chat_template
        self._process = JinjaProcess(info.chat_template, info.bos_token, info.eos_token)
        self._bos = Control(info.bos_token) if info.bos_token in info.control_tokens else None
        spellings = findable(info.control_tokens)
        self._control = control_pattern(spellings)
        self._start_of_control = re.compile(
            f"(?={self._control.pattern})(?P<first>.)", re.IGNORECASE | re.DOTALL
        )
        # Letters are left out: role names, which the template compares, must stay whole.
        signs = "".join(sorted({t[0] for t in spellings if not t[0].isalnum()}))
        self._first_sign = re.compile(f"(?P<first>[{re.escape(signs)}])" if signs else "(?!)")
        self._joins = _JOINING.search(info.chat_template) is not None

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
        if options != DEFAULT_OPTIONS:
            raise InvalidValue(
                "chat_template_kwargs are for Llama 3.1's chat template, which this model has not.",
                param="chat_template_kwargs",
            )
        conversation = {
            "messages": list(_message_objects(messages)),
            "tools": [tool.definition for tool in tools] or None,
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

    def _free_mark(self, text: str) -> str:
        for mark in NONCHARACTERS:
            if mark not in text and mark not in self._template:
                return mark
        raise InvalidValue("The messages use every Unicode noncharacter.", param="messages")

    def _segments(self, marked: Any, mark: str) -> Prompt:
        return tuple(self._split(self._process.render({**marked, "mark": mark}), mark))

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
