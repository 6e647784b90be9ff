"""Tools in POST /v1/chat/completions, over a fake engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_llama.engine.protocol.output import FinishReason
from tests.api.conftest import client_for
from tests.fakes import FakeEngine, Script

PATH = "/v1/chat/completions"
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"a": {}}}},
    }
    for name in ("add", "now")
]
HI: dict[str, Any] = {
    "model": "demo",
    "messages": [{"role": "user", "content": "Hello!"}],
    "tools": TOOLS,
}
ADD = ['{"na', 'me": "add", "parameters": ', '{"a"', ": 1}", "}"]
NOW = ["; ", '{"name": "now", "parameters": {}}']


async def whole(*pieces: str, client: Any = None, **fields: Any) -> Any:
    client = client or client_for(FakeEngine(Script(pieces)))
    response = await client.post(PATH, json=HI | fields)
    return response.json()["choices"][0]


async def deltas(*pieces: str, **fields: Any) -> list[Any]:
    client = client_for(FakeEngine(Script(pieces)))
    response = await client.post(PATH, json=HI | {"stream": True} | fields)
    events = response.text.split("\n\n")[:-2]
    return [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]


async def test_calls_with_text_before() -> None:
    choice = await whole("Let me ", "see.", *ADD, *NOW)
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Let me see."
    add, now = choice["message"]["tool_calls"]
    assert add["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert now["function"] == {"name": "now", "arguments": "{}"}
    assert add["type"] == "function"
    assert add["id"] != now["id"]


async def test_without_text_content_is_null() -> None:
    assert (await whole(*ADD))["message"]["content"] is None


async def test_the_deltas_of_a_stream() -> None:
    choices = await deltas("Hm. ", *ADD, *NOW)
    calls = [choice["delta"].get("tool_calls", [None])[0] for choice in choices]
    first, second = (call["id"] for call in calls if call and "id" in call)
    assert first != second
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "Hm. "},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": first,
                    "type": "function",
                    "function": {"name": "add", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
        {
            "tool_calls": [
                {
                    "index": 1,
                    "id": second,
                    "type": "function",
                    "function": {"name": "now", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None] * 7 + ["tool_calls"]


async def test_text_is_not_held_back() -> None:
    choices = await deltas("a", "b {", "c", '{"name": "x"')
    texts = [choice["delta"].get("content") for choice in choices[1:-1]]
    assert texts == ["a", "b ", "{c", '{"name": "x"']
    assert choices[-1]["finish_reason"] == "stop"


async def test_cut_off_is_length_whatever_else() -> None:
    client = client_for(FakeEngine(Script(ADD[:3], finish=FinishReason.LENGTH)))
    choice = await whole(client=client)
    assert choice["finish_reason"] == "length"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"a"'


async def test_a_stop_string_ends_text_but_no_call() -> None:
    choice = await whole("Let me see.", *ADD, stop=["me s"])
    assert choice["message"]["content"] == "Let "
    assert choice["finish_reason"] == "stop"
    choice = await whole(*ADD, stop=[": 1"])
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'
    assert choice["finish_reason"] == "tool_calls"


async def test_legacy_functions() -> None:
    functions: dict[str, Any] = {"tools": None, "functions": [tool["function"] for tool in TOOLS]}
    choice = await whole(*ADD, **functions)
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "add", "arguments": '{"a": 1}'}
    choices = await deltas(*ADD, **functions)
    assert [choice["delta"].get("function_call") for choice in choices] == [
        None,
        {"name": "add", "arguments": ""},
        {"arguments": '{"a"'},
        {"arguments": ": 1}"},
        None,
    ]
    assert choices[-1]["finish_reason"] == "function_call"


async def test_with_none_the_model_is_shown_no_tools() -> None:
    engine = FakeEngine(Script())
    await whole(client=client_for(engine), tool_choice="none")
    await whole(client=client_for(engine), tools=None)
    assert engine.submitted[0] == engine.submitted[1]


async def test_log_probabilities_are_told_of_text_only() -> None:
    choice = await whole("Hi", *ADD, logprobs=True)
    assert choice["message"]["content"] == "Hi"
    assert choice["logprobs"] is not None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "add"}}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.tools"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": 1, "tools": []}}},
            "tool_choice.mode",
        ),
        ({"functions": [{"name": "add"}]}, "functions"),
        (
            {"tools": [{"type": "function", "function": {"name": "f" * 129}}]},
            "tools[0].function.name",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": 1}}]},
            "tools[0].function.description",
        ),
        ({"tools": TOOLS * 65}, "tools"),
        ({"grammar": 'root ::= "x"'}, "grammar"),
    ],
)
async def test_faults(fields: dict[str, Any], param: str) -> None:
    response = await client_for(FakeEngine()).post(PATH, json=HI | fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
