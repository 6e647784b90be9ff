"""POST /v1/responses over a fake engine."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from edge_llama.engine.protocol.output import FinishReason
from edge_llama.errors import ContextLengthExceeded, InvalidValue
from edge_llama.settings.server import ServerSettings
from tests.api.asgi_call import AsgiCall, until
from tests.api.conftest import app_for, client_for
from tests.fakes import FakeEngine, Script

PATH = "/v1/responses"
HI: dict[str, Any] = {"model": "demo", "input": "Hello!"}
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)

TEXT_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def events_of(body: str) -> list[dict[str, Any]]:
    """The events of a stream, once each is seen to be numbered, named and of OpenAI's shape."""
    frames = body.split("\n\n")
    assert frames.pop() == ""
    events = []
    for number, frame in enumerate(frames):
        name, data = frame.lstrip("\n").split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        assert EVENT.validate_python(event).type == event["type"]
        events.append(event)
    return events


def untimed(response: dict[str, Any]) -> dict[str, Any]:
    """A response without what differs each time."""
    response = response | {"id": "", "created_at": 0, "completed_at": 0}
    return response | {"output": [item | {"id": ""} for item in response["output"]]}


async def stream(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    response = await client.post(PATH, json=HI | {"stream": True} | body)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    return events_of(response.text)


async def test_a_whole_response() -> None:
    client = client_for(FakeEngine(Script(prompt_tokens=24, cached_tokens=20)))
    reply = (await client.post(PATH, json=HI | {"instructions": "Be brief."})).json()
    response = Response.model_validate(reply)
    assert response.output_text == "Hello! How can I help you today?"
    assert response.status == "completed"
    assert response.instructions == "Be brief."
    assert response.id.startswith("resp_")
    assert reply["output"][0]["id"].startswith("msg_")
    assert reply["output"][0]["content"][0]["annotations"] == []
    assert reply["usage"] == {
        "input_tokens": 24,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 0},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 30,
    }


async def test_the_events_of_a_text() -> None:
    events = await stream(client_for(FakeEngine(Script(["Hello", "!"]))))
    assert [event["type"] for event in events] == TEXT_EVENTS
    added, part, first, second, done, part_done, item_done = events[2:9]
    assert added["item"]["status"] == "in_progress"
    assert added["item"]["content"] == []
    assert part["part"] == {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    assert (first["delta"], second["delta"], done["text"]) == ("Hello", "!", "Hello!")
    assert part_done["part"]["text"] == "Hello!"
    assert item_done["item"]["status"] == "completed"
    assert events[0]["response"]["status"] == "in_progress"
    assert events[-1]["response"]["output"] == [item_done["item"]]
    assert events[-1]["response"]["usage"]["output_tokens"] == 3


async def test_ids_stay_the_same_in_a_stream() -> None:
    events = await stream(client_for(FakeEngine()))
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    items = {event["item_id"] for event in events if "item_id" in event}
    assert items == {event["item"]["id"] for event in events if "item" in event}
    assert len(items) == 1


@pytest.mark.parametrize("pieces", [["Hello", "!"], []])
async def test_a_cut_off_response_is_incomplete(pieces: list[str]) -> None:
    script = Script([*pieces, " more"], finish=FinishReason.LENGTH)
    events = await stream(client_for(FakeEngine(script)))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"
    assert events[-1]["response"]["usage"]["output_tokens"] == len(pieces) + 1


async def test_a_response_without_text_has_an_empty_message() -> None:
    client = client_for(FakeEngine(Script([])))
    reply = (await client.post(PATH, json=HI)).json()
    assert reply["output"][0]["content"][0]["text"] == ""
    assert [event["type"] for event in await stream(client)] == [
        kind for kind in TEXT_EVENTS if kind != "response.output_text.delta"
    ]


async def test_parameters_reach_the_engine_and_are_told() -> None:
    engine = FakeEngine()
    body = HI | {"temperature": 0, "top_p": 0.5, "max_output_tokens": 2}
    reply = (await client_for(engine).post(PATH, json=body)).json()
    assert engine.submitted[0].options.max_tokens == 2
    assert engine.submitted[0].options.sampling.temperature == 0
    assert (reply["temperature"], reply["top_p"], reply["max_output_tokens"]) == (0, 0.5, 2)
    assert reply["status"] == "incomplete"


@pytest.mark.parametrize(
    ("asked", "top"),
    [
        ({}, None),
        ({"include": ["reasoning.encrypted_content"]}, None),
        ({"include": ["message.output_text.logprobs"]}, 0),
        ({"top_logprobs": 2}, 2),
    ],
)
async def test_log_probabilities(asked: dict[str, Any], top: int | None) -> None:
    engine = FakeEngine(Script(["Hello", "!"]))
    client = client_for(engine)
    whole = (await client.post(PATH, json=HI | asked)).json()
    assert engine.submitted[0].options.logprobs == top
    told = whole["output"][0]["content"][0]["logprobs"]
    assert [entry["token"] for entry in told] == ([] if top is None else ["Hello", "!"])
    assert all(len(entry["top_logprobs"]) == top for entry in told)
    events = await stream(client, **asked)
    deltas = [e["logprobs"] for e in events if e["type"] == "response.output_text.delta"]
    assert [entry for delta in deltas for entry in delta] == told
    [done] = (event for event in events if event["type"] == "response.output_text.done")
    assert done["logprobs"] == told


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_refusal_has_a_status_and_names_the_input(streaming: bool) -> None:
    client = client_for(FakeEngine(Script(refuse=ContextLengthExceeded(8, 9))))
    response = await client.post(PATH, json=HI | {"stream": streaming})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")


async def test_a_fault_of_another_field_keeps_its_name() -> None:
    client = client_for(FakeEngine(Script(refuse=InvalidValue("x", param="logit_bias"))))
    assert (await client.post(PATH, json=HI)).json()["error"]["param"] == "logit_bias"


async def test_an_unknown_model_is_404(client: httpx.AsyncClient) -> None:
    response = await client.post(PATH, json=HI | {"model": "gpt-4", "stream": True})
    assert response.status_code == 404


async def test_the_project_address(client: httpx.AsyncClient) -> None:
    path = "/project/p-1/genai/llama3_1_8b_instruct/v1/responses"
    response = await client.post(path, json={"input": "Hello!"})
    assert response.json()["model"] == "llama3_1_8b_instruct"


async def test_a_dying_engine_fails_the_response() -> None:
    events = await stream(client_for(FakeEngine(Script(["Hello"], die=True))))
    error, failed = events[-2:]
    assert error["type"] == "error"
    assert error["message"] == error["error"]["message"]
    assert error["error"]["type"] == "server_error"
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"


async def test_silence_is_kept_alive_and_a_disconnect_aborts() -> None:
    engine = FakeEngine(Script([], hang=True))
    app = app_for(engine, ServerSettings(keep_alive_seconds=0.02))
    call = AsgiCall(app, PATH, [json.dumps(HI | {"stream": True}).encode()])
    await call.until_sent(b"\n\n\n")
    assert b"response.in_progress" in call.body
    call.disconnect()
    await call.finished()
    await until(lambda: bool(engine.generations[0].aborts))


@given(text=st.text(max_size=20), size=st.integers(1, 4), limit=st.none() | st.integers(1, 20))
@settings(max_examples=60, deadline=None)
async def test_any_split_of_the_output_gives_the_same(
    text: str, size: int, limit: int | None
) -> None:
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    client = client_for(FakeEngine(Script(pieces)))
    body = {} if limit is None else {"max_output_tokens": limit}
    whole = (await client.post(PATH, json=HI | body)).json()
    events = await stream(client, **body)
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert all(deltas)
    assert "".join(deltas) == whole["output"][0]["content"][0]["text"]
    if limit is None:
        assert "".join(deltas) == text
    kinds = [event["type"] for event in events]
    for kind in TEXT_EVENTS[:4] + TEXT_EVENTS[6:9]:
        assert kinds.count(kind) == 1
    ends = [kind for kind in kinds if kind in ("response.completed", "response.incomplete")]
    assert ends == [f"response.{whole['status']}"] == kinds[-1:]
    assert untimed(events[-1]["response"]) == untimed(whole)


CALLS = Script(
    [
        *("Let me see. ", '{"na', 'me": "add", "parameters": ', '{"a"', ": 1}"),
        *('}; {"name": "now", ', '"parameters": {}}'),
    ]
)
TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {"a": {}}}}
    for name in ("add", "now")
]


async def test_calls_are_items_of_their_own() -> None:
    client = client_for(FakeEngine(CALLS))
    body = HI | {"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True}
    reply = (await client.post(PATH, json=body)).json()
    response = Response.model_validate(reply)
    message, add, now = response.output
    assert response.output_text == "Let me see. "
    assert message.type == "message"
    assert add.type == now.type == "function_call"
    assert (add.name, add.arguments, add.status) == ("add", '{"a": 1}', "completed")
    assert (now.name, now.arguments) == ("now", "{}")
    assert add.id != add.call_id != now.call_id
    assert response.status == "completed"
    assert [tool.type for tool in response.tools] == ["function", "function"]


async def test_a_stream_of_calls_is_the_whole_response() -> None:
    client = client_for(FakeEngine(CALLS))
    body = HI | {"tools": TOOLS, "stream": True}
    events = events_of((await client.post(PATH, json=body)).text)
    kinds = [event["type"].removeprefix("response.") for event in events]
    delta, done = "function_call_arguments.delta", "function_call_arguments.done"
    assert kinds[8:] == [
        *("output_item.added", delta, delta, done, "output_item.done"),
        *("output_item.added", delta, done, "output_item.done"),
        "completed",
    ]
    assert events[8]["item"] | {"id": "", "call_id": ""} == {
        "type": "function_call",
        "id": "",
        "call_id": "",
        "status": "in_progress",
        "name": "add",
        "arguments": "",
    }
    assert events[11]["arguments"] == '{"a": 1}'
    assert {event["item_id"] for event in events[9:12]} == {events[8]["item"]["id"]}
    assert [event["output_index"] for event in events[8:17]] == [1] * 5 + [2] * 4
    whole = Response.model_validate(events[-1]["response"])
    assert [item.type for item in whole.output] == ["message", "function_call", "function_call"]


async def test_a_call_that_is_cut_off_is_incomplete() -> None:
    client = client_for(FakeEngine(CALLS))
    reply = (await client.post(PATH, json=HI | {"tools": TOOLS, "max_output_tokens": 4})).json()
    assert reply["status"] == "incomplete"
    assert reply["output"][-1]["status"] == "incomplete"
    assert reply["output"][-1]["arguments"] == '{"a"'


@pytest.mark.parametrize(
    "choice",
    [
        "none",
        "required",
        {"type": "function", "name": "add"},
        {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": name} for name in ("add", "now")],
        },
    ],
)
async def test_the_response_repeats_the_choice(choice: Any) -> None:
    client = client_for(FakeEngine())
    reply = (await client.post(PATH, json=HI | {"tools": TOOLS, "tool_choice": choice})).json()
    assert reply["tool_choice"] == choice


async def test_faults_of_tools_name_their_place() -> None:
    odd = {"type": "function", "name": "f", "strict": True, "parameters": {"not": {}}}
    tools = [*TOOLS, odd]
    reply = (await client_for(FakeEngine()).post(PATH, json=HI | {"tools": tools})).json()
    assert reply["error"]["param"] == "tools[2].parameters.not"
