from __future__ import annotations

from typing import Any

import pytest

from edge_llama.api.request.request_body import parse
from edge_llama.api.responses.schemas import ResponsesRequest
from edge_llama.chat.messages import Message, Role, ToolCall
from edge_llama.errors import RequestError


def read(input: Any, **body: Any) -> tuple[Message, ...]:
    asked = parse(ResponsesRequest, {"model": "demo", "input": input} | body)
    return asked.to_chat_request().messages


def test_a_text_is_a_user_turn() -> None:
    assert read("Hello!") == (Message(Role.USER, "Hello!"),)


def test_instructions_come_first() -> None:
    assert read("Hi", instructions="Be brief.") == (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "Hi"),
    )


@pytest.mark.parametrize("kind", [{}, {"type": "message"}, {"type": None}])
@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("system", Role.SYSTEM),
        ("developer", Role.SYSTEM),
        ("user", Role.USER),
        ("assistant", Role.ASSISTANT),
    ],
)
def test_roles(role: str, expected: Role, kind: dict[str, Any]) -> None:
    assert read([{"role": role, "content": "Hi"} | kind]) == (Message(expected, "Hi"),)


def test_parts_of_all_kinds() -> None:
    parts = [
        {"type": "input_text", "text": "one"},
        {"type": "output_text", "text": "two", "annotations": []},
        {"type": "text", "text": "three"},
        {"type": "refusal", "refusal": "four"},
    ]
    expected = Message(Role.USER, "one\ntwo\nthree\nfour")
    assert read([{"role": "user", "content": parts}]) == (expected,)


def test_an_output_can_be_sent_back() -> None:
    item = {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
    }
    assert read([item, {"role": "user", "content": "And?"}]) == (
        Message(Role.ASSISTANT, "Hi"),
        Message(Role.USER, "And?"),
    )


def test_calls_in_a_row_are_one_turn() -> None:
    def call(number: int) -> dict[str, Any]:
        return {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": "add",
            "arguments": "{}",
        }

    def output(number: int) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": f"call_{number}", "output": "4"}

    calls = tuple(ToolCall("add", "{}", f"call_{number}") for number in (1, 2, 3))
    assert read([call(1), call(2), output(1), output(2), call(3)]) == (
        Message(Role.ASSISTANT, tool_calls=calls[:2]),
        Message(Role.TOOL, "4", tool_call_id="call_1"),
        Message(Role.TOOL, "4", tool_call_id="call_2"),
        Message(Role.ASSISTANT, tool_calls=calls[2:]),
    )


def test_reasoning_is_left_out() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert read([reasoning, {"role": "user", "content": "Hi"}]) == (Message(Role.USER, "Hi"),)


@pytest.mark.parametrize(
    ("input", "param", "code"),
    [
        (5, "input", "invalid_value"),
        ([], "input", "invalid_value"),
        ("a\0b", "input", "invalid_value"),
        (["Hi"], "input[0]", "invalid_value"),
        ([{"role": "user"}], "input[0].content", "invalid_value"),
        ([{"content": "Hi"}], "input[0].role", "invalid_value"),
        ([{"role": "tool", "content": "Hi"}], "input[0].role", "invalid_value"),
        ([{"type": 5}], "input[0].type", "invalid_value"),
        ([{"type": "item_reference", "id": "x"}], "input[0].type", "unsupported_parameter"),
        ([{"type": "hologram"}], "input[0].type", "unsupported_parameter"),
        ([{"type": "function_call", "name": "f"}], "input[0].call_id", "invalid_value"),
        ([{"type": "function_call", "call_id": "c"}], "input[0].name", "invalid_value"),
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}],
            "input[0].content[0]",
            "unsupported_parameter",
        ),
        (
            [{"role": "user", "content": [{"type": "input_text"}]}],
            "input[0].content[0].text",
            "invalid_value",
        ),
        (
            [{"type": "function_call_output", "call_id": "c", "output": {"a": 1}}],
            "input[0].output",
            "invalid_value",
        ),
    ],
)
def test_faults(input: Any, param: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(input)
    assert (caught.value.param, caught.value.code) == (param, code)
