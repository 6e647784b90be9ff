from __future__ import annotations

import json
from typing import Any

import pytest

from edge_llama.api.anthropic.schemas import MessagesRequest
from edge_llama.api.request.request_body import parse
from edge_llama.chat.messages import Message, Role, ToolCall
from edge_llama.errors import RequestError

ASK: dict[str, Any] = {"role": "user", "content": "Hi"}


def read(*turns: Any, **body: Any) -> tuple[Message, ...]:
    asked = parse(
        MessagesRequest, {"model": "demo", "max_tokens": 5, "messages": list(turns)} | body
    )
    return asked.to_chat_request().messages


def test_texts_and_blocks() -> None:
    blocks = [{"type": "text", "text": "one"}, {"type": "text", "text": "two", "cache_control": {}}]
    assert read(
        {"role": "user", "content": blocks}, {"role": "assistant", "content": "three"}, ASK
    ) == (
        Message(Role.USER, "one\ntwo"),
        Message(Role.ASSISTANT, "three"),
        Message(Role.USER, "Hi"),
    )


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_the_system_prompt_comes_first(system: Any) -> None:
    assert read(ASK, system=system) == (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "Hi"),
    )


def test_tool_blocks_become_calls_and_turns_of_their_own() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": "é"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}
    messages = read(
        ASK,
        {"role": "assistant", "content": [{"type": "text", "text": "Let me add."}, call]},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}, result]},
    )
    arguments = json.dumps({"a": "é"}, ensure_ascii=False)
    assert messages[1:] == (
        Message(Role.ASSISTANT, "Let me add.", (ToolCall("add", arguments, "toolu_1"),)),
        Message(Role.TOOL, "4", tool_call_id="toolu_1"),
        Message(Role.USER, "And now?"),
    )


def test_a_result_may_be_empty_or_have_blocks() -> None:
    empty = {"type": "tool_result", "tool_use_id": "a"}
    blocks = {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "x"}]}
    assert read({"role": "user", "content": [empty, blocks]}) == (
        Message(Role.TOOL, "", tool_call_id="a"),
        Message(Role.TOOL, "x", tool_call_id="b"),
    )


def test_thinking_is_left_out() -> None:
    thinking = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    hidden = {"type": "redacted_thinking", "data": "x"}
    text = {"type": "text", "text": "Yes"}
    turn = {"role": "assistant", "content": [thinking, hidden, text]}
    assert read(ASK, turn, ASK)[1] == Message(Role.ASSISTANT, "Yes")


@pytest.mark.parametrize(
    ("turn", "param", "code"),
    [
        (5, "messages[0]", "invalid_value"),
        ({"content": "Hi"}, "messages[0].role", "invalid_value"),
        ({"role": "tool", "content": "Hi"}, "messages[0].role", "invalid_value"),
        ({"role": "user"}, "messages[0].content", "invalid_value"),
        ({"role": "user", "content": 5}, "messages[0].content", "invalid_value"),
        ({"role": "user", "content": ["Hi"]}, "messages[0].content[0]", "invalid_value"),
        ({"role": "user", "content": [{}]}, "messages[0].content[0].type", "invalid_value"),
        (
            {"role": "user", "content": [{"type": "image", "source": {}}]},
            "messages[0].content[0]",
            "unsupported_parameter",
        ),
        (
            {"role": "user", "content": [{"type": "hologram"}]},
            "messages[0].content[0].type",
            "unsupported_parameter",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "a\0"}]},
            "messages[0].content[0].text",
            "invalid_value",
        ),
        (
            {"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "f"}]},
            "messages[0].content[0]",
            "invalid_value",
        ),
        (
            {"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
            "messages[0].content[0]",
            "invalid_value",
        ),
    ],
)
def test_faults(turn: Any, param: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(turn)
    assert (caught.value.param, caught.value.code) == (param, code)
