from __future__ import annotations

import math

import httpx
import pytest

from edge_llama.chat.model import ChatModel
from edge_llama.engine.client.async_engine import EngineState
from edge_llama.errors import EngineStartError
from edge_llama.pool.pooled_model import ModelState, PooledModel
from edge_llama.pool.registry import ServedModel
from tests.api.asgi_call import until
from tests.api.conftest import app_of, client_for, client_of
from tests.fakes import FakeEngine, FakeEngines, model_info

READY = EngineState.READY


async def test_a_server_that_can_take_requests(client: httpx.AsyncClient) -> None:
    reply = await client.get("/health")
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "models": [{"id": "demo", "state": "available"}]}
    assert (await client.get("/health/live")).json() == {"status": "ok"}
    assert (await client.get("/health/ready")).json() == {"status": "ok"}


def in_state(phase: ModelState, engine: EngineState = READY, *, before: bool = True) -> ServedModel:
    """A model in some state, which was loaded before or not."""
    pooled = PooledModel("x", FakeEngine)
    pooled.phase = phase
    pooled.chat = ChatModel(FakeEngine(state=engine))
    pooled.info = model_info() if before else None
    return ServedModel(f"{phase.value}-{engine.value}-{before}", pooled)


FIRST_LOAD = in_state(ModelState.LOADING, before=False)
RELOAD = in_state(ModelState.LOADING)
LOADED = in_state(ModelState.LOADED)
RESTARTING = in_state(ModelState.LOADED, EngineState.RESTARTING)
BROKEN = in_state(ModelState.LOADED, EngineState.FAILED)
AVAILABLE = in_state(ModelState.AVAILABLE)
UNTOUCHED = in_state(ModelState.AVAILABLE, before=False)


@pytest.mark.parametrize(
    ("models", "status"),
    [
        ([LOADED], "ok"),
        ([AVAILABLE], "ok"),
        ([RELOAD], "ok"),
        ([LOADED, FIRST_LOAD], "ok"),
        ([LOADED, RESTARTING], "ok"),
        ([RESTARTING, UNTOUCHED], "ok"),
        ([FIRST_LOAD], "loading"),
        ([FIRST_LOAD, UNTOUCHED], "loading"),
        ([RESTARTING], "restarting"),
        ([RESTARTING, BROKEN], "restarting"),
        ([BROKEN], "failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(each.id for each in value),
)
async def test_a_server_is_ready_when_a_model_can_take_requests(
    models: list[ServedModel], status: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(app_of(*models))
    assert (await client.get("/health/live")).status_code == 200
    reply = await client.get("/health")
    assert (reply.status_code, reply.json()["status"]) == (200, status)
    ready = await client.get("/health/ready")
    if status == "ok":
        assert ready.status_code == 200
    else:
        assert ready.status_code == 503
        assert ready.headers["Retry-After"] == "1"
        assert status in ready.json()["error"]["message"]
    assert not caplog.records


async def test_a_server_is_not_ready_before_its_first_model_is() -> None:
    engine = FakeEngine(loading=math.inf)
    pooled = PooledModel("slow", lambda: engine)
    app = app_of(ServedModel("slow", pooled))
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/health")).json()["status"] == "loading"
        assert (await client.get("/health/ready")).status_code == 503


async def test_a_model_that_failed_is_told_until_it_may_be_tried_again() -> None:
    engines = FakeEngines(failures=[EngineStartError("no")])
    pooled = PooledModel("broken", engines)
    app = app_of(ServedModel("broken", pooled), first_backoff=0.1)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await until(lambda: pooled.state is ModelState.FAILED)
        assert (await client.get("/health")).json()["models"][0]["state"] == "failed"
        assert (await client.get("/health/ready")).status_code == 503
        await until(lambda: pooled.state is ModelState.AVAILABLE)
        assert (await client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize("state", [EngineState.RESTARTING, EngineState.FAILED])
async def test_an_engine_in_trouble_is_told(state: EngineState) -> None:
    client = client_for(engine := FakeEngine())
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    assert (await client.get("/health")).json()["models"][0]["state"] == "loaded"
    engine.state = state
    assert (await client.get("/health")).json()["models"][0]["state"] == state.value
    assert (await client.get("/health/ready")).status_code == 503
