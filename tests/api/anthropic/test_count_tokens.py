from __future__ import annotations

from typing import Any

import httpx

from edge_llama.errors import EngineUnavailable
from tests.api.conftest import client_for
from tests.fakes import FakeEngine

PATH = "/v1/messages/count_tokens"
HI: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}


async def test_the_count_is_that_of_the_prompt(client: httpx.AsyncClient) -> None:
    body = HI | {"system": "Be brief."}
    count = (await client.post(PATH, json=body)).json()
    answered = (await client.post("/v1/messages", json=body | {"max_tokens": 9})).json()
    assert count == {"input_tokens": answered["usage"]["input_tokens"]}
    assert count["input_tokens"] > (await client.post(PATH, json=HI)).json()["input_tokens"]


async def test_tools_count_too(client: httpx.AsyncClient) -> None:
    body = HI | {"tools": [{"name": "add", "input_schema": {"type": "object"}}]}
    count = (await client.post(PATH, json=body)).json()
    answered = (await client.post("/v1/messages", json=body | {"max_tokens": 9})).json()
    assert count == {"input_tokens": answered["usage"]["input_tokens"]}
    assert count["input_tokens"] > (await client.post(PATH, json=HI)).json()["input_tokens"]


async def test_nothing_is_generated(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await client.post(PATH, json=HI)
    assert engine.submitted == []


async def test_errors_have_anthropics_shape(client: httpx.AsyncClient) -> None:
    response = await client.post(PATH, json=HI | {"model": "gpt-4"})
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"
    failing = client_for(FakeEngine(failure=EngineUnavailable("It is not ready.")))
    response = await failing.post(PATH, json=HI)
    assert (response.status_code, response.json()["type"]) == (503, "error")
