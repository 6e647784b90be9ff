"""Tools in the system message, for templates that show none.

The words are those of Hermes 2 Pro and Qwen 2.5, which many models were trained with:
https://github.com/NousResearch/Hermes-Function-Calling
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from edge_llama.chat.messages import ChatRequest, Message, Role, ToolCall
from edge_llama.chat.template.json_text import call_arguments, dump_json
from edge_llama.chat.tools.marked_form import HERMES
from edge_llama.chat.tools.tool import Tool

_BEFORE = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>"""
_AFTER = """
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


def told_tools(request: ChatRequest) -> ChatRequest:
    """The request with its tools, calls and results as texts of messages.

    Raises:
        InvalidValue: a tool or the arguments of a call are nested too deeply.
    """
    first, *others = request.messages
    text = _definitions(request.tools)
    if first.role is Role.SYSTEM:
        first = replace(first, content=f"{first.content}\n\n{text}")
    else:
        first, others = Message(Role.SYSTEM, text), [first, *others]
    return replace(request, messages=(first, *_as_texts(others)), told_tools=True)


def _definitions(tools: Sequence[Tool]) -> str:
    lines = (
        dump_json(tool.definition, param=f"tools[{index}]") for index, tool in enumerate(tools)
    )
    return "\n".join((_BEFORE, *lines)) + _AFTER


def _as_texts(messages: Sequence[Message]) -> Iterator[Message]:
    for index, message in enumerate(messages):
        if message.role is Role.TOOL:
            yield Message(Role.USER, f"<tool_response>\n{message.content}\n</tool_response>")
        elif message.tool_calls:
            param = f"messages[{index}].tool_calls"
            calls = [_call(call, param) for call in message.tool_calls]
            yield Message(Role.ASSISTANT, "\n".join([message.content, *calls]).strip())
        else:
            yield message


def _call(call: ToolCall, param: str) -> str:
    arguments = call_arguments(call.arguments, param=param)
    return f"{HERMES.first(call.name)}{dump_json(arguments, param=param)}{HERMES.after}"
