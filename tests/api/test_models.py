from __future__ import annotations

import httpx
import pytest

from edge_llama.engine.client import EngineState
from edge_llama.errors import EngineUnavailable
from tests.api.conftest import client_for
from tests.fakes import FakeEngine


async def test_the_list(client: httpx.AsyncClient) -> None:
    reply = (await client.get("/v1/models")).json()
    assert reply == {
        "object": "list",
        "data": [
            {
                "id": "demo",
                "object": "model",
                "created": 1738752367,
                "owned_by": "edge_llama",
                "aliases": ["meta/llama-3.1-70b-instruct", "llama3_1_8b_instruct"],
                "state": "ready",
                "context_length": 2048,
                "max_model_len": 2048,
                "quantization": "F32",
                "parameters": 1000,
            }
        ],
    }


@pytest.mark.parametrize("name", ["demo", "llama3_1_8b_instruct", "meta/llama-3.1-70b-instruct"])
async def test_one_model_by_any_name(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/v1/models/{name}")
    assert response.status_code == 200
    assert response.json()["id"] == name
    assert response.json()["context_length"] == 2048


@pytest.mark.parametrize("name", ["gpt-4", "../etc/passwd", "%2e%2e%2fetc", "demo/x"])
async def test_an_unknown_one_is_404(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/v1/models/{name}")
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_a_loading_model_is_listed() -> None:
    class Loading(FakeEngine):
        @property
        def info(self):  # type: ignore[no-untyped-def]
            raise EngineUnavailable("The model is still loading.")

    client = client_for(Loading(state=EngineState.STARTING))
    model = (await client.get("/v1/models")).json()["data"][0]
    assert model["state"] == "starting"
    assert model["context_length"] is None
    assert model["quantization"] is None
