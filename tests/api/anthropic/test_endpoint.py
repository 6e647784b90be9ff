"""POST /v1/messages over a fake engine."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from edge_llama.engine.client.async_engine import EngineState
from edge_llama.engine.protocol.grammar import CFG, TriggeredCFG
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.errors import ContextLengthExceeded
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine, Script

PATH = "/v1/messages"
HI: dict[str, Any] = {
    "model": "demo",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello!"}],
}
EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def events_of(body: str) -> list[dict[str, Any]]:
    """The events of a stream, once each is seen to be named and of Anthropic's shape."""
    frames = body.split("\n\n")
    assert frames.pop() == ""
    events = []
    for frame in frames:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if event["type"] not in ("ping", "error"):
            assert EVENT.validate_python(event).type == event["type"]
        events.append(event)
    return events


async def stream(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    response = await client.post(PATH, json=HI | {"stream": True} | body)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    return events_of(response.text)


async def test_a_whole_message() -> None:
    client = client_for(FakeEngine(Script(prompt_tokens=24, cached_tokens=20)))
    reply = (await client.post(PATH, json=HI)).json()
    message = Message.model_validate(reply)
    assert message.id.startswith("msg_")
    assert message.model == "demo"
    assert reply["content"] == [{"type": "text", "text": "Hello! How can I help you today?"}]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert reply["usage"] == {
        "input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 20,
        "output_tokens": 6,
    }


async def test_the_events_of_a_message() -> None:
    events = await stream(client_for(FakeEngine(Script(["Hello", "!"], prompt_tokens=24))))
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = events[0]["message"]
    assert (message["content"], message["stop_reason"]) == ([], None)
    assert message["usage"]["input_tokens"] == 24
    assert events[1]["content_block"] == {"type": "text", "text": ""}
    assert [event["delta"]["text"] for event in events[3:5]] == ["Hello", "!"]
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"]["output_tokens"] == 3


async def test_a_message_without_text_has_no_content() -> None:
    client = client_for(FakeEngine(Script([])))
    assert (await client.post(PATH, json=HI)).json()["content"] == []
    kinds = [event["type"] for event in await stream(client)]
    assert kinds == ["message_start", "message_delta", "message_stop"]


async def test_a_stop_sequence_is_named() -> None:
    client = client_for(FakeEngine(Script(["one ", "EN", "D two"])))
    reply = (await client.post(PATH, json=HI | {"stop_sequences": ["END"]})).json()
    assert reply["content"][0]["text"] == "one "
    assert (reply["stop_reason"], reply["stop_sequence"]) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("limit", "reason"), [(2, "max_tokens"), (3, "model_context_window_exceeded")]
)
async def test_a_cut_off_message_tells_why(limit: int, reason: str) -> None:
    client = client_for(FakeEngine(Script(["a", "b"], finish=FinishReason.LENGTH)))
    reply = (await client.post(PATH, json=HI | {"max_tokens": limit})).json()
    assert reply["stop_reason"] == reason


@pytest.mark.parametrize(
    ("script", "body", "status", "kind"),
    [
        (Script(), {"model": "gpt-4"}, 404, "not_found_error"),
        (Script(), {"max_tokens": "many"}, 400, "invalid_request_error"),
        (Script(refuse=ContextLengthExceeded(8, 9)), {}, 400, "invalid_request_error"),
        (Script(die=True), {}, 503, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/project/p-1/genai/demo"])
async def test_errors_have_anthropics_shape(
    script: Script, body: dict[str, Any], status: int, kind: str, prefix: str
) -> None:
    if prefix and "model" in body:
        prefix = prefix.replace("demo", body["model"])
    response = await client_for(FakeEngine(script)).post(prefix + PATH, json=HI | body)
    assert response.status_code == status
    assert int(response.headers["content-length"]) == len(response.content)
    error = response.json()
    assert error.keys() == {"type", "error"}
    assert error["type"] == "error"
    assert error["error"].keys() == {"type", "message"}
    assert error["error"]["type"] == kind


async def test_a_wrong_method_has_anthropics_shape(client: httpx.AsyncClient) -> None:
    response = await client.get(PATH)
    assert response.status_code == 405
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_an_engine_that_is_not_ready() -> None:
    client = client_for(FakeEngine(state=EngineState.RESTARTING))
    response = await client.post(PATH, json=HI | {"stream": True})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json()["error"]["type"] == "overloaded_error"


async def test_a_dying_engine_ends_a_stream_with_an_error() -> None:
    events = await stream(client_for(FakeEngine(Script(["Hello"], die=True))))
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "overloaded_error"
    assert "message_stop" not in [event["type"] for event in events]


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key"])
async def test_the_key_may_be_in_a_header_of_its_own(name: str) -> None:
    client = client_for(FakeEngine(), ServerSettings(api_key="secret"))
    headers = {name: "secret", "anthropic-version": "2023-06-01"}
    assert (await client.post(PATH, json=HI, headers=headers)).status_code == 200
    assert (await client.get("/v1/models", headers=headers)).status_code == 200
    response = await client.post(PATH, json=HI, headers={name: "wrong"})
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


@given(
    text=st.text(max_size=20),
    size=st.integers(1, 4),
    stop=st.sampled_from([[], ["a"], ["ab", "é"]]),
)
@settings(max_examples=60, deadline=None)
async def test_any_split_of_the_output_gives_the_same(
    text: str, size: int, stop: list[str]
) -> None:
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    client = client_for(FakeEngine(Script(pieces)))
    body = {"stop_sequences": stop}
    whole = (await client.post(PATH, json=HI | body)).json()
    events = await stream(client, **body)
    deltas = [e["delta"]["text"] for e in events if e["type"] == "content_block_delta"]
    assert all(deltas)
    assert "".join(deltas) == "".join(block["text"] for block in whole["content"])
    if not any(string in text for string in stop):
        assert "".join(deltas) == text
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    blocks = kinds.count("content_block_start"), kinds.count("content_block_stop")
    assert blocks == ((1, 1) if deltas else (0, 0))
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    assert events[-2]["usage"] == whole["usage"]
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"]
    assert events[0]["message"].keys() == whole.keys()


CALLS = Script(
    [
        *("Let me see. ", '{"na', 'me": "add", "parameters": ', '{"a"', ": 1}"),
        *('}; {"name": "now", ', '"parameters": {}}'),
    ]
)
TOOLS = [
    {"name": name, "input_schema": {"type": "object", "properties": {"a": {}}}}
    for name in ("add", "now")
]


async def test_calls_are_blocks_of_their_own() -> None:
    client = client_for(FakeEngine(CALLS))
    reply = (await client.post(PATH, json=HI | {"tools": TOOLS})).json()
    message = Message.model_validate(reply)
    text, add, now = message.content
    assert text.type == "text"
    assert text.text == "Let me see. "
    assert add.type == now.type == "tool_use"
    assert (add.name, add.input) == ("add", {"a": 1})
    assert (now.name, now.input) == ("now", {})
    assert add.id != now.id
    assert message.stop_reason == "tool_use"


async def test_a_stream_of_calls() -> None:
    events = await stream(client_for(FakeEngine(CALLS)), tools=TOOLS)
    kinds = [event["type"].removeprefix("content_block_") for event in events]
    assert kinds == [
        *("message_start", "start", "ping", "delta", "stop"),
        *("start", "delta", "delta", "stop", "start", "delta", "stop"),
        *("message_delta", "message_stop"),
    ]
    blocks = [event for event in events if event["type"].startswith("content_block")]
    assert [event["index"] for event in blocks] == [0] * 3 + [1] * 4 + [2] * 3
    assert events[5]["content_block"] | {"id": ""} == {
        "type": "tool_use",
        "id": "",
        "name": "add",
        "input": {},
    }
    assert [event["delta"] for event in events[6:8]] == [
        {"type": "input_json_delta", "partial_json": '{"a"'},
        {"type": "input_json_delta", "partial_json": ": 1}"},
    ]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


async def test_a_call_that_is_cut_off() -> None:
    client = client_for(FakeEngine(CALLS))
    reply = (await client.post(PATH, json=HI | {"tools": TOOLS, "max_tokens": 4})).json()
    assert reply["stop_reason"] == "max_tokens"
    assert reply["content"][-1]["input"] == {}


@pytest.mark.parametrize(
    ("choice", "grammar"),
    [
        ({"type": "any"}, "start: tagged | calls\n"),
        ({"type": "tool", "name": "add"}, "start: tagged | calls\n"),
        ({"type": "auto", "disable_parallel_tool_use": True}, 'more: ""\n'),
    ],
)
async def test_tool_choice(choice: dict[str, Any], grammar: str) -> None:
    engine = FakeEngine()
    reply = await client_for(engine).post(PATH, json=HI | {"tools": TOOLS, "tool_choice": choice})
    assert reply.status_code == 200
    asked = engine.submitted[0].options.grammar
    assert isinstance(asked, TriggeredCFG if choice["type"] == "auto" else CFG)
    assert grammar in asked.text
    assert ("now" in asked.text) == (choice["type"] != "tool")


async def test_no_tool_may_be_called() -> None:
    engine = FakeEngine()
    body = HI | {"tools": TOOLS, "tool_choice": {"type": "none"}}
    assert (await client_for(engine).post(PATH, json=body)).status_code == 200
    assert engine.submitted[0].options.grammar is None


async def test_too_long_a_prompt_is_told_in_words_that_clients_look_for() -> None:
    client = client_for(FakeEngine(Script(refuse=ContextLengthExceeded(10, 99))))
    refused = await client.post("/v1/messages", json=HI)
    assert refused.status_code == 400
    assert refused.json() == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "prompt is too long: 99 tokens > 9 maximum",
        },
    }
