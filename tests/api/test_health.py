from __future__ import annotations

import httpx
import pytest

from edge_llama.engine.client import EngineState
from tests.api.conftest import client_for
from tests.fakes import FakeEngine


async def test_a_ready_server(client: httpx.AsyncClient) -> None:
    reply = await client.get("/health")
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "models": [{"id": "demo", "state": "ready"}]}
    assert (await client.get("/health/live")).json() == {"status": "ok"}
    assert (await client.get("/health/ready")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "state", [EngineState.STARTING, EngineState.RESTARTING, EngineState.FAILED, EngineState.STOPPED]
)
async def test_a_server_that_is_not_ready_is_alive(state: EngineState) -> None:
    client = client_for(FakeEngine(state=state))
    assert (await client.get("/health/live")).status_code == 200
    reply = await client.get("/health")
    assert reply.status_code == 200
    assert reply.json() == {
        "status": state.value,
        "models": [{"id": "demo", "state": state.value}],
    }
    ready = await client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.headers["Retry-After"] == "1"
    assert state.value in ready.json()["error"]["message"]
