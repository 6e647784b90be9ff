"""Requests for models that are not loaded, and for several at once."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from starlette.applications import Starlette

from edge_llama.api.state.app_state import state_of
from edge_llama.errors import ContextLengthExceeded, EngineKilled, EngineStartError
from edge_llama.pool.pooled_model import ModelState, PooledModel
from edge_llama.pool.registry import ServedModel
from tests.api.asgi_call import AsgiCall, post, until
from tests.api.conftest import app_of, client_of
from tests.fakes import FakeEngines, Script
from tests.virtual_time import in_virtual_time

HI: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello!"}]}


def app_with(*models: PooledModel, **options: Any) -> Starlette:
    return app_of(*(ServedModel(model.name, model) for model in models), **options)


def ask(app: Starlette, model: str, *, stream: bool = False) -> AsgiCall:
    return post(app, HI | {"model": model, "stream": stream})


def data_of(call: AsgiCall) -> list[bytes]:
    return [line.removeprefix(b"data: ") for line in call.body.split(b"\n") if line]


@in_virtual_time
async def test_the_requests_model_is_the_one_that_answers() -> None:
    one = PooledModel("one", FakeEngines(Script(["I am one."])))
    two = PooledModel("two", FakeEngines(Script(["I am two."])))
    client = client_of(app_with(one, two))
    for name in ("one", "two", "one"):
        reply = await client.post("/v1/chat/completions", json=HI | {"model": name})
        assert reply.json()["choices"][0]["message"]["content"] == f"I am {name}."
    assert (await client.post("/v1/chat/completions", json=HI | {"model": "x"})).status_code == 404


@in_virtual_time
async def test_a_stream_that_loads_quickly_begins_with_its_text() -> None:
    call = ask(app_with(PooledModel("one", FakeEngines(loading=0.05))), "one", stream=True)
    await asyncio.sleep(0.02)
    assert call.sent == []
    await call.finished()
    assert call.status == 200
    assert data_of(call)[-1] == b"[DONE]"
    assert call.body.startswith(b"data: ")


@in_virtual_time
async def test_a_stream_that_loads_slowly_is_kept_alive() -> None:
    app = app_with(PooledModel("one", FakeEngines(loading=0.3)), keep_alive_seconds=0.05)
    call = ask(app, "one", stream=True)
    await until(lambda: call.status == 200)
    await call.until_sent(b"\n")
    assert b"data" not in call.body
    await call.finished()
    assert data_of(call)[-1] == b"[DONE]"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("engines", "status"),
    [
        (FakeEngines(Script(refuse=ContextLengthExceeded(8, 9)), loading=0.02), 400),
        (FakeEngines(loading=0.02, failures=[EngineStartError("/secret")] * 9), 500),
    ],
)
@in_virtual_time
async def test_a_refusal_after_a_load_has_its_own_status(
    engines: FakeEngines, status: int, stream: bool
) -> None:
    call = ask(app_with(PooledModel("one", engines)), "one", stream=stream)
    await call.finished()
    assert call.status == status
    assert b"secret" not in call.body
    assert "error" in json.loads(call.body)


@in_virtual_time
async def test_a_refusal_after_a_long_load_is_told_in_the_stream() -> None:
    engines = FakeEngines(Script(refuse=ContextLengthExceeded(8, 9)), loading=0.2)
    app = app_with(PooledModel("one", engines), keep_alive_seconds=0.05)
    call = ask(app, "one", stream=True)
    await call.finished()
    assert call.status == 200
    (event,) = data_of(call)
    assert json.loads(event)["error"]["code"] == "context_length_exceeded"


@in_virtual_time
async def test_what_needs_no_model_is_refused_without_loading_one() -> None:
    engines = FakeEngines()
    client = client_of(app_with(PooledModel("one", engines)))
    body = HI | {"model": "one", "temperature": 9, "stream": True}
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 400
    assert engines.made == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("keep_alive", [0.01, 10])
@in_virtual_time
async def test_a_client_that_leaves_while_its_model_loads_is_forgotten(
    stream: bool, keep_alive: float
) -> None:
    model = PooledModel("one", FakeEngines(loading=0.2))
    call = ask(app_with(model, keep_alive_seconds=keep_alive), "one", stream=stream)
    await until(lambda: len(model.tickets) == 1)
    await asyncio.sleep(0.05)
    call.disconnect()
    await call.finished()
    assert model.tickets == {}
    await until(lambda: model.state is ModelState.LOADED)
    assert model.users == 0


@pytest.mark.parametrize("stream", [True, False])
@in_virtual_time
async def test_a_lease_lasts_as_long_as_the_answer(stream: bool) -> None:
    model = PooledModel("one", FakeEngines(Script(["a"] * 20, delay=0.01)))
    call = ask(app_with(model, keep_alive=0), "one", stream=stream)
    await until(lambda: model.users == 1)
    await call.finished()
    assert call.status == 200
    assert model.users == 0
    await until(lambda: model.state is ModelState.AVAILABLE)


@pytest.mark.parametrize("stream", [True, False])
@in_virtual_time
async def test_a_client_that_leaves_frees_its_lease(stream: bool) -> None:
    model = PooledModel("one", FakeEngines(Script(["a"], hang=True)))
    call = ask(app_with(model, keep_alive=0), "one", stream=stream)
    await until(lambda: model.users == 1)
    await asyncio.sleep(0.02)
    call.disconnect()
    await call.finished()
    assert model.users == 0
    await until(lambda: model.state is ModelState.AVAILABLE)


@in_virtual_time
async def test_no_room_is_503_with_a_time_to_retry() -> None:
    one = PooledModel("one", FakeEngines(Script(hang=True)), memory=1)
    two = PooledModel("two", FakeEngines(), memory=1)
    app = app_with(one, two, memory=1, patience=0.05)
    running = ask(app, "one")
    await until(lambda: one.users == 1)
    refused = ask(app, "two", stream=True)
    await refused.finished()
    assert refused.status == 503
    assert refused.headers["retry-after"] == "10"
    running.disconnect()
    await running.finished()
    second = ask(app, "two")
    await second.finished()
    assert second.status == 200


@in_virtual_time
async def test_an_engine_that_was_killed_is_503_with_the_time_of_the_next_try() -> None:
    engines = FakeEngines(failures=[EngineKilled("By signal 9.")] * 2)
    app = app_with(PooledModel("one", engines), first_backoff=1.2)
    for _ in range(2):
        call = ask(app, "one", stream=True)
        await call.finished()
        assert call.status == 503
        assert call.headers["retry-after"] == "2"
    assert len(engines.made) == 1


@in_virtual_time
async def test_a_failing_model_does_not_disturb_the_others() -> None:
    broken = PooledModel("broken", FakeEngines(failures=[EngineStartError("no")] * 9))
    good = PooledModel("good", FakeEngines())
    app = app_with(broken, good)
    for _ in range(3):
        failing, fine = ask(app, "broken"), ask(app, "good")
        await failing.finished()
        await fine.finished()
        assert (failing.status, fine.status) == (500, 200)


@in_virtual_time
async def test_500_requests_at_the_unload_boundary_lose_none() -> None:
    keep_alive = 0.004
    engines = FakeEngines(Script(["a", "b"]), loading=0.001, stopping=0.001)
    model = PooledModel("one", engines)
    app = app_with(model, keep_alive=keep_alive)
    statuses: list[int | None] = []

    for number in range(500):
        await asyncio.sleep(keep_alive * (0.8 + 0.4 * (number % 25) / 25))
        call = ask(app, "one", stream=number % 2 == 0)
        await call.finished()
        statuses.append(call.status)
    assert statuses == [200] * 500
    assert len(engines.made) > 50
    await until(lambda: model.state is ModelState.AVAILABLE)
    state_of(app).registry.pool.check_integrity()
    assert engines.running == 0


@in_virtual_time
async def test_a_server_that_stops_refuses_those_who_wait() -> None:
    app = app_with(PooledModel("one", FakeEngines(loading=math.inf)))
    async with app.router.lifespan_context(app):
        call = ask(app, "one", stream=True)
        await asyncio.sleep(0.02)
    await call.finished()
    assert call.status == 503
