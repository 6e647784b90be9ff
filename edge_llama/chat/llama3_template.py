"""Llama3Template: the prompt format of Llama 3.1, 3.2 and 3.3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edge_llama.chat.json_text import dump_json, load_json
from edge_llama.chat.messages import Message, Role, Tool, ToolCall
from edge_llama.engine.prompt import Control, Prompt, Segment, Text
from edge_llama.errors import InvalidValue

BEGIN_OF_TEXT = Control("<|begin_of_text|>")
START_HEADER = Control("<|start_header_id|>")
END_HEADER = Control("<|end_header_id|>")
EOT = Control("<|eot_id|>")

CONTROL_TOKENS = frozenset(
    control.token for control in (BEGIN_OF_TEXT, START_HEADER, END_HEADER, EOT)
)

ENVIRONMENT = "Environment: ipython\n"
DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
TOOLS_HEADER = (
    "Given the following functions, please respond with a JSON for a function call with its "
    "proper arguments that best answers the given prompt.\n\n"
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and '
    "its value}.Do not use variables.\n\n"
)


class Llama3Template:
    """The official chat template of Llama 3.1 with its defaults, as segments.

    The date is the template's fixed one, so that prompts share their beginning. As in the
    template, tools go into the first turn after the system message, which becomes a user turn;
    the text of an assistant turn with tool calls is left out; a tool's result is written as a
    JSON string. One thing is added: several calls in one assistant turn, which the template
    refuses, are joined with "; ", as the models themselves write them.

    Format: https://github.com/meta-llama/llama-models, the chat template in the model's
    tokenizer_config.json.
    """

    def render(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Prompt:
        """The prompt, up to and with the header of the assistant's turn.

        Raises:
            InvalidValue: the conversation cannot be written in this format; names the field.
        """
        return tuple(_segments(messages, tools))


def _segments(messages: Sequence[Message], tools: Sequence[Tool]) -> Iterator[Segment]:
    if not messages:
        raise InvalidValue("A conversation needs at least one message.", param="messages")
    start = 1 if messages[0].role is Role.SYSTEM else 0
    yield BEGIN_OF_TEXT
    system = messages[0].content.strip() if start else ""
    yield from _turn("system", (ENVIRONMENT if tools else "") + DATES + system)
    if tools:
        yield from _turn("user", _tools_text(tools) + _first_text(messages, start))
        start += 1
    for index, message in enumerate(messages[start:], start):
        yield from _turn(*_role_and_text(message, f"messages[{index}]"))
    yield from _header("assistant", "\n\n")


def _turn(role: str, text: str) -> Iterator[Segment]:
    yield from _header(role, "\n\n" + text)
    yield EOT


def _header(role: str, text: str) -> Iterator[Segment]:
    yield START_HEADER
    yield Text(role)
    yield END_HEADER
    yield Text(text)


def _tools_text(tools: Iterable[Tool]) -> str:
    definitions = (
        dump_json(tool.definition, indent=4, param=f"tools[{index}]") + "\n\n"
        for index, tool in enumerate(tools)
    )
    return TOOLS_HEADER + "".join(definitions)


def _first_text(messages: Sequence[Message], index: int) -> str:
    if index == len(messages):
        raise InvalidValue("With tools, a conversation needs a user message.", param="messages")
    if messages[index].tool_calls:
        raise InvalidValue(
            "With tools, a user message must come before the first tool call.",
            param=f"messages[{index}].tool_calls",
        )
    return messages[index].content.strip()


def _role_and_text(message: Message, param: str) -> tuple[str, str]:
    if message.tool_calls:
        calls = (
            _call_text(call, f"{param}.tool_calls[{index}]")
            for index, call in enumerate(message.tool_calls)
        )
        return "assistant", "; ".join(calls)
    if message.role is Role.TOOL:
        return "ipython", dump_json(message.content, param=f"{param}.content")
    return message.role.value, message.content.strip()


def _call_text(call: ToolCall, param: str) -> str:
    arguments = f"{param}.function.arguments"
    parameters = dump_json(load_json(call.arguments, param=arguments), param=arguments)
    return f'{{"name": "{call.name}", "parameters": {parameters}}}'
