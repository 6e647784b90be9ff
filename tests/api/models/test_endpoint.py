from __future__ import annotations

import json
import math

import httpx
import pytest
from anthropic.types import ModelInfo

from edge_llama.pool.pooled_model import ModelState, PooledModel
from edge_llama.pool.registry import ServedModel
from tests.api.asgi_call import until
from tests.api.conftest import app_of, client_of
from tests.fakes import FakeEngines


async def test_the_list(client: httpx.AsyncClient) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
    await client.post("/v1/chat/completions", json=body)
    reply = (await client.get("/v1/models")).json()
    assert reply == {
        "object": "list",
        "data": [
            {
                "id": "demo",
                "object": "model",
                "created": 1738752367,
                "owned_by": "edge_llama",
                "type": "llm",
                "aliases": ["meta/llama-3.1-70b-instruct", "llama3_1_8b_instruct"],
                "state": "loaded",
                "context_length": 2048,
                "max_model_len": 2048,
                "quantization": "F32",
                "parameters": 1000,
                "embedding_length": 4,
            }
        ],
    }


@pytest.mark.parametrize("name", ["demo", "llama3_1_8b_instruct", "meta/llama-3.1-70b-instruct"])
async def test_one_model_by_any_name(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/v1/models/{name}")
    assert response.status_code == 200
    assert response.json()["id"] == name
    assert response.json()["aliases"] == ["meta/llama-3.1-70b-instruct", "llama3_1_8b_instruct"]


@pytest.mark.parametrize("name", ["gpt-4", "../etc/passwd", "%2e%2e%2fetc", "demo/x"])
async def test_an_unknown_one_is_404(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/v1/models/{name}")
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_all_models_are_listed_with_their_states() -> None:
    one, two = PooledModel("one", FakeEngines(loading=math.inf)), PooledModel("two", FakeEngines())
    app = app_of(
        ServedModel("one", one),
        ServedModel("two", two, planned_context=4096, file_quantization="Q4_K_M"),
    )
    async with app.router.lifespan_context(app), client_of(app) as client:
        first, second = (await client.get("/v1/models")).json()["data"]
        assert (first["id"], first["state"]) == ("one", "loading")
        assert (first["context_length"], first["quantization"]) == (None, None)
        assert (second["id"], second["state"]) == ("two", "available")
        assert (second["context_length"], second["quantization"]) == (4096, "Q4_K_M")
        assert (second["max_model_len"], second["parameters"]) == (4096, None)


async def test_an_unloaded_model_stays_known() -> None:
    pooled = PooledModel("one", FakeEngines())
    app = app_of(ServedModel("one", pooled), keep_alive=0)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await until(lambda: pooled.info is not None and pooled.state is ModelState.AVAILABLE)
        model = (await client.get("/v1/models/one")).json()
        assert (model["state"], model["context_length"]) == ("available", 2048)
        assert (model["quantization"], model["parameters"]) == ("F32", 1000)


ANTHROPICS = {"anthropic-version": "2023-06-01"}


async def test_anthropics_clients_get_their_own_list(client: httpx.AsyncClient) -> None:
    reply = await client.get("/v1/models?limit=20", headers=ANTHROPICS)
    page = reply.json()
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("demo", "demo", False)
    [model] = page["data"]
    assert model == (await client.get("/v1/models/demo", headers=ANTHROPICS)).json()
    assert model["created_at"] == "2025-02-05T10:46:07Z"
    told = ModelInfo.model_validate_json(json.dumps(model), strict=True)
    assert (told.id, told.display_name, told.type, told.model_extra) == (
        "demo",
        "demo",
        "model",
        {},
    )


async def test_anthropics_clients_get_their_own_errors(client: httpx.AsyncClient) -> None:
    for path in ("/v1/models/gpt-4", "/v1/messages/batches"):
        answer = await client.get(path, headers=ANTHROPICS)
        assert answer.status_code == 404
        assert answer.json()["type"] == "error"
        assert answer.json()["error"]["type"] == "not_found_error"
