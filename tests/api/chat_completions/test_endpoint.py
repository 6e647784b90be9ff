from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from edge_llama.engine.protocol.output import FinishReason
from edge_llama.settings.server import Limits, ServerSettings
from tests.api.asgi_call import post, until
from tests.api.conftest import app_for, client_for
from tests.fakes import FakeEngine, FakeGeneration, Script
from tests.virtual_time import in_virtual_time

PATH = "/v1/chat/completions"
HI: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}


async def test_a_whole_reply(client: httpx.AsyncClient) -> None:
    response = await client.post(PATH, json=HI)
    assert response.status_code == 200
    reply = response.json()
    assert reply["id"].startswith("chatcmpl-")
    assert reply["choices"][0]["message"]["content"] == "Hello! How can I help you today?"
    assert reply["usage"]["total_tokens"] == (
        reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"]
    )


async def test_a_streamed_reply_is_the_whole_one(client: httpx.AsyncClient) -> None:
    response = await client.post(PATH, json=HI | {"stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    texts = (chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert "".join(texts) == "Hello! How can I help you today?"


@pytest.mark.parametrize("name", ["demo", "llama3_1_8b_instruct", "meta/llama-3.1-70b-instruct"])
async def test_the_reply_echoes_the_name_that_was_used(
    client: httpx.AsyncClient, name: str
) -> None:
    assert (await client.post(PATH, json=HI | {"model": name})).json()["model"] == name


async def test_an_unknown_model_is_404(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    response = await client.post(PATH, json=HI | {"model": "gpt-4", "stream": True})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert "demo" in response.json()["error"]["message"]
    assert engine.submitted == []


async def test_parameters_reach_the_engine(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await client.post(PATH, json=HI | {"max_tokens": 2, "temperature": 0, "n": 2, "seed": 5})
    request = engine.submitted[0]
    assert (request.options.max_tokens, request.options.n) == (2, 2)
    assert (request.options.sampling.temperature, request.options.sampling.seed) == (0, 5)


async def test_cut_off_replies_say_length(client: httpx.AsyncClient) -> None:
    reply = (await client.post(PATH, json=HI | {"max_tokens": 1})).json()
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 1


async def test_a_bad_value_is_refused_before_the_engine(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    response = await client.post(PATH, json=HI | {"temperature": "hot", "stream": True})
    assert response.status_code == 400
    assert response.json()["error"] == {
        "message": "temperature must be a number.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "invalid_value",
    }
    assert engine.submitted == []


async def test_max_n_is_the_servers() -> None:
    client = client_for(FakeEngine(), ServerSettings(limits=Limits(max_n=2)))
    assert (await client.post(PATH, json=HI | {"n": 2})).status_code == 200
    assert (await client.post(PATH, json=HI | {"n": 3})).status_code == 400


@pytest.mark.parametrize("stream", [True, False])
async def test_a_disconnect_aborts_while_tokens_come(stream: bool) -> None:
    engine = FakeEngine(Script(["word "] * 10_000, delay=0.001))
    call = post(app_for(engine), HI | {"stream": stream})
    await until(lambda: bool(engine.generations))
    call.disconnect()
    await call.finished()
    assert engine.generations[0].aborts
    assert not engine.generations[0].running


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("pieces", [[], ["Hello"]])
@in_virtual_time
async def test_a_disconnect_aborts_in_silence(stream: bool, pieces: list[str]) -> None:
    engine = FakeEngine(Script(pieces, hang=True))
    call = post(app_for(engine), HI | {"stream": stream})
    await until(lambda: bool(engine.generations))
    await asyncio.sleep(0.01)
    call.disconnect()
    await call.finished()
    assert engine.generations[0].aborts
    assert not engine.generations[0].running


@in_virtual_time
async def test_a_disconnect_before_acceptance_ends_the_wait() -> None:
    asked = cancelled = False

    class SlowEngine(FakeEngine):
        async def submit(self, request: Any) -> FakeGeneration:
            nonlocal asked, cancelled
            asked = True
            try:
                await asyncio.sleep(300)
            except asyncio.CancelledError:
                cancelled = True
                raise
            return await super().submit(request)

    call = post(app_for(SlowEngine()), HI | {"stream": True})
    await until(lambda: asked)
    assert call.sent == []
    call.disconnect()
    await call.finished()
    assert cancelled


@pytest.mark.parametrize("stream", [True, False])
@in_virtual_time
async def test_a_server_that_stops_says_so_and_aborts(stream: bool) -> None:
    engine = FakeEngine(Script(hang=True))
    call = post(app_for(engine), HI | {"stream": stream})
    await until(lambda: bool(engine.generations))
    await asyncio.sleep(0.01)
    call.task.cancel()
    await call.finished()
    assert call.status == (200 if stream else 503)
    assert b"The server is stopping." in call.body
    assert engine.generations[0].aborts


@in_virtual_time
async def test_the_headers_go_out_on_acceptance() -> None:
    engine = FakeEngine(Script([], hang=True))
    call = post(app_for(engine), HI | {"stream": True})
    await until(lambda: call.status == 200)
    assert call.body == b""
    call.disconnect()
    await call.finished()


@in_virtual_time
async def test_silence_is_kept_alive() -> None:
    engine = FakeEngine(Script([], hang=True))
    app = app_for(engine, ServerSettings(keep_alive_seconds=0.02))
    call = post(app, HI | {"stream": True})
    await call.until_sent(b"\n\n")
    call.disconnect()
    await call.finished()


async def test_a_dying_engine_ends_a_stream_with_an_error() -> None:
    call = post(app_for(FakeEngine(Script(["Hello"], die=True))), HI | {"stream": True})
    await call.finished()
    events = call.body.split(b"\n\n")
    assert b"Hello" in call.body
    assert json.loads(events[-2].removeprefix(b"data: "))["error"]["type"] == "server_error"
    assert b"[DONE]" not in call.body


async def test_a_dying_engine_is_503_without_a_stream() -> None:
    client = client_for(FakeEngine(Script(["Hello"], die=True)))
    response = await client.post(PATH, json=HI)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"


@in_virtual_time
async def test_a_finished_reply_is_not_aborted(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    await client.post(PATH, json=HI)
    await client.post(PATH, json=HI | {"stream": True})
    assert [generation.running for generation in engine.generations] == [set(), set()]


async def test_length_of_a_script_that_does_not_stop() -> None:
    client = client_for(FakeEngine(Script(["a", "b"], finish=FinishReason.LENGTH)))
    reply = (await client.post(PATH, json=HI)).json()
    assert reply["choices"][0]["finish_reason"] == "length"
