"""Llama3Template: the prompt format of Llama 3.1, 3.2 and 3.3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from edge_llama.chat.messages import DEFAULT_OPTIONS, Message, Role, TemplateOptions, ToolCall
from edge_llama.chat.template.calendar import Calendar, written
from edge_llama.chat.template.json_text import call_arguments, dump_json
from edge_llama.chat.tools import call_format
from edge_llama.chat.tools.tool import CODE_INTERPRETER, Tool
from edge_llama.engine.protocol.prompt import MAX_PROMPT_BYTES, Control, Prompt, Segment, Text
from edge_llama.errors import InvalidValue

BEGIN_OF_TEXT = Control("<|begin_of_text|>")
START_HEADER = Control("<|start_header_id|>")
END_HEADER = Control("<|end_header_id|>")
EOT = Control("<|eot_id|>")
EOM = Control("<|eom_id|>")

CONTROL_TOKENS = frozenset(
    control.token for control in (BEGIN_OF_TEXT, START_HEADER, END_HEADER, EOT)
)

ENVIRONMENT = "Environment: ipython\n"
CALL_FORMAT = (
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and '
    "its value}.Do not use variables.\n\n"
)
USER_TOOLS_HEADER = (
    "Given the following functions, please respond with a JSON for a function call with its "
    f"proper arguments that best answers the given prompt.\n\n{CALL_FORMAT}"
)
SYSTEM_TOOLS_HEADER = (
    "You have access to the following functions. To call a function, please respond with JSON for "
    f"a function call.{CALL_FORMAT}"
)


class Llama3Template:
    """The official chat template of Llama 3.1, as segments.

    As in the template, tools go into the first turn after the system message, which becomes a
    user turn; the text of an assistant turn with tool calls is left out; a tool's result is
    written as a JSON string. Two things are different: several calls in one assistant turn, which
    the template refuses, are joined with "; ", as the models themselves write them, and calls of
    the code interpreter are written as the code alone, likewise.

    Format: https://github.com/meta-llama/llama-models, the chat template in the model's
    tokenizer_config.json.

    Args:
        calendar: tells the date where a request does not.
        asks_date: the model's own template asks for today's, as that of Llama 3.2 does.
    """

    call_form = None

    def __init__(self, calendar: Calendar | None = None, *, asks_date: bool = False) -> None:
        self._calendar = calendar or Calendar()
        self._asks_date = asks_date

    def shows_tools(self) -> bool:
        return True

    def unknown_arguments(self, options: TemplateOptions) -> list[str]:
        return sorted(options.others)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: TemplateOptions = DEFAULT_OPTIONS,
    ) -> Prompt:
        """The prompt, up to and with the header of the assistant's turn.

        Raises:
            InvalidValue: the conversation cannot be written in this format; names the field.
        """
        if options.date is None:
            day = self._calendar.day(asked=self._asks_date)
            options = replace(options, date=written(day))
        return tuple(_segments(messages, tools, options))


def _segments(
    messages: Sequence[Message], tools: Sequence[Tool], options: TemplateOptions
) -> Iterator[Segment]:
    if not messages:
        raise InvalidValue("A conversation needs at least one message.", param="messages")
    start = 1 if messages[0].role is Role.SYSTEM else 0
    yield BEGIN_OF_TEXT
    system = messages[0].content.strip() if start else ""
    yield from _turn("system", _system_text(system, tools, options))
    if tools and options.tools_in_user_message:
        text = USER_TOOLS_HEADER + _definitions(tools) + _first_text(messages, start)
        yield from _turn("user", text)
        start += 1
    ended = messages[start:-1] if options.continues else messages[start:]
    for index, message in enumerate(ended, start):
        yield from _message(message, options, f"messages[{index}]")
    begun = messages[-1].content.lstrip() if options.continues else ""
    yield from _header("assistant", "\n\n" + begun)


def _system_text(system: str, tools: Sequence[Tool], options: TemplateOptions) -> str:
    text = ENVIRONMENT if tools or options.builtin_tools is not None else ""
    if options.builtin_tools is not None:
        named = [name for name in options.builtin_tools if name != CODE_INTERPRETER]
        text += f"Tools: {', '.join(named)}\n\n"
    text += f"Cutting Knowledge Date: December 2023\nToday Date: {options.date}\n\n"
    if tools and not options.tools_in_user_message:
        text += SYSTEM_TOOLS_HEADER + _definitions(tools)
    return text + system


def _turn(role: str, text: str) -> Iterator[Segment]:
    yield from _header(role, "\n\n" + text)
    yield EOT


def _header(role: str, text: str) -> Iterator[Segment]:
    yield START_HEADER
    yield Text(role)
    yield END_HEADER
    yield Text(text)


def _definitions(tools: Iterable[Tool]) -> str:
    written = ""
    for index, tool in enumerate(tools):
        room = MAX_PROMPT_BYTES - len(written)
        written += dump_json(tool.definition, indent=4, param=f"tools[{index}]", room=room) + "\n\n"
    return written


def _first_text(messages: Sequence[Message], index: int) -> str:
    if index == len(messages):
        raise InvalidValue("With tools, a conversation needs a user message.", param="messages")
    if messages[index].tool_calls:
        raise InvalidValue(
            "With tools, a user message must come before the first tool call.",
            param=f"messages[{index}].tool_calls",
        )
    return messages[index].content.strip()


def _message(message: Message, options: TemplateOptions, param: str) -> Iterator[Segment]:
    if message.tool_calls:
        yield from _calls(message.tool_calls, options, f"{param}.tool_calls")
    elif message.role is Role.TOOL:
        yield from _turn("ipython", dump_json(message.content, param=f"{param}.content"))
    else:
        yield from _turn(message.role.value, message.content.strip())


def _calls(calls: Sequence[ToolCall], options: TemplateOptions, param: str) -> Iterator[Segment]:
    builtin = options.builtin_tools or ()
    texts = [_call_text(call, builtin, f"{param}[{i}]") for i, call in enumerate(calls)]
    text = call_format.SEPARATOR.join(texts)
    if calls[0].name in builtin:
        yield from _header("assistant", "\n\n")
        yield Control(call_format.PYTHON_TAG)
        yield Text(text)
    else:
        yield from _header("assistant", "\n\n" + text)
    yield EOT if options.builtin_tools is None else EOM


def _call_text(call: ToolCall, builtin: Sequence[str], param: str) -> str:
    param = f"{param}.function.arguments"
    arguments = call_arguments(call.arguments, param=param)
    if call.name in builtin and isinstance(arguments, dict):
        if call.name == CODE_INTERPRETER:
            return str(arguments.get("code", ""))
        named = ", ".join(f'{name}="{value}"' for name, value in arguments.items())
        return f"{call.name}.call({named})"
    return f'{{"name": "{call.name}", "parameters": {dump_json(arguments, param=param)}}}'
