from __future__ import annotations

from typing import Any

import pytest

from edge_llama.api.chat_completions.messages import ChatMessage
from edge_llama.api.request.validation import validate
from edge_llama.chat.messages import Message, Role, ToolCall
from edge_llama.errors import RequestError


def read(**message: Any) -> Message:
    return validate(ChatMessage, message).to_message()


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("system", Role.SYSTEM),
        ("developer", Role.SYSTEM),
        ("user", Role.USER),
        ("assistant", Role.ASSISTANT),
        ("function", Role.TOOL),
    ],
)
def test_roles(role: str, expected: Role) -> None:
    assert read(role=role, content="Hi", name="ann") == Message(expected, "Hi")


def test_a_tool_turn_keeps_its_call_id() -> None:
    expected = Message(Role.TOOL, "4", tool_call_id="call_1")
    assert read(role="tool", content="4", tool_call_id="call_1") == expected


def test_text_parts_are_joined_by_lines() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two", "cache_control": {}}]
    assert read(role="user", content=parts).content == "one\ntwo"


def test_empty_text_is_text() -> None:
    assert read(role="user", content="") == Message(Role.USER)
    assert read(role="user", content=[{"type": "text", "text": ""}]) == Message(Role.USER)


@pytest.mark.parametrize("message", [{}, {"content": None}, {"content": []}, {"content": ""}])
def test_an_assistant_turn_may_be_without_content(message: dict[str, Any]) -> None:
    assert read(role="assistant", **message) == Message(Role.ASSISTANT)


def test_refusals_are_text() -> None:
    part = {"type": "refusal", "refusal": "No."}
    assert read(role="assistant", content=[part]).content == "No."
    assert read(role="assistant", content=None, refusal="No.").content == "No."


def test_calls_of_an_assistant_turn() -> None:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert read(role="assistant", content=None, tool_calls=calls, audio=None) == Message(
        Role.ASSISTANT, "", (ToolCall("f", "{}", "call_1"),)
    )
    legacy = {"name": "f", "arguments": '{"a": 1}'}
    assert read(role="assistant", function_call=legacy).tool_calls == (ToolCall("f", '{"a": 1}'),)


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ({"role": "robot", "content": "x"}, "role", "invalid_value"),
        ({"content": "x"}, "role", "invalid_value"),
        ({"role": "user"}, "content", "invalid_value"),
        ({"role": "user", "content": None}, "content", "invalid_value"),
        ({"role": "user", "content": []}, "content", "invalid_value"),
        ({"role": "user", "content": 5}, "content", "invalid_value"),
        ({"role": "user", "content": {"type": "text"}}, "content", "invalid_value"),
        ({"role": "user", "content": "a\0b"}, "content", "invalid_value"),
        ({"role": "user", "content": ["x"]}, "content[0]", "invalid_value"),
        ({"role": "user", "content": [{"text": "x"}]}, "content[0].type", "invalid_value"),
        (
            {"role": "user", "content": [{"type": "text"}]},
            "content[0].text",
            "invalid_value",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": 5}]},
            "content[0].text",
            "invalid_value",
        ),
        ({"role": "tool", "content": "x"}, "tool_call_id", "invalid_value"),
        ({"role": "assistant", "audio": {"id": "a"}}, "audio", "unsupported_parameter"),
        (
            {"role": "assistant", "tool_calls": [{"function": {}}]},
            "tool_calls[0].function.name",
            "invalid_value",
        ),
        (
            {"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "f"}}]},
            "tool_calls[0].type",
            "unsupported_parameter",
        ),
        (
            {"role": "assistant", "tool_calls": [{"type": "magic", "function": {"name": "f"}}]},
            "tool_calls[0].type",
            "invalid_value",
        ),
    ],
)
def test_faults(message: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(**message)
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    "kind", ["image_url", "input_image", "input_audio", "file", "video_url", "audio", "video"]
)
def test_media_parts_are_refused(kind: str) -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": kind, kind: {"url": "x"}}]
    with pytest.raises(RequestError) as caught:
        read(role="user", content=parts)
    assert (caught.value.param, caught.value.code) == ("content[1]", "unsupported_parameter")
    assert kind in caught.value.message
