from __future__ import annotations

import httpx
import pytest

HI = {"messages": [{"role": "user", "content": "Hello"}]}


async def test_the_paths_model_replaces_the_bodys(client: httpx.AsyncClient) -> None:
    path = "/project/p-1/genai/llama3_1_8b_instruct/v1/chat/completions"
    response = await client.post(path, json=HI | {"model": "gpt-4"})
    assert response.status_code == 200
    assert response.json()["model"] == "llama3_1_8b_instruct"


@pytest.mark.parametrize("name", ["meta/llama-3.1-70b-instruct", "meta%2Fllama-3.1-70b-instruct"])
async def test_names_with_slashes(client: httpx.AsyncClient, name: str) -> None:
    response = await client.post(f"/project/p-1/genai/{name}/v1/chat/completions", json=HI)
    assert response.json()["model"] == "meta/llama-3.1-70b-instruct"


async def test_every_v1_route_is_below_the_prefix(client: httpx.AsyncClient) -> None:
    prefix = "/project/p-1/genai/demo/v1"
    assert (await client.get(f"{prefix}/models")).json()["data"][0]["id"] == "demo"
    assert (await client.get(f"{prefix}/models/demo")).json()["id"] == "demo"
    assert (await client.get(f"{prefix}/chat/completions")).status_code == 405
    assert (await client.get(f"{prefix}/nothing")).status_code == 404


async def test_an_unknown_model_is_404(client: httpx.AsyncClient) -> None:
    for route in ("chat/completions", "models"):
        response = await client.post(f"/project/p-1/genai/gpt-4/v1/{route}", json=HI)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("project", ["1", "p-", "x-1", "P-1"])
async def test_a_project_starts_with_p(client: httpx.AsyncClient, project: str) -> None:
    response = await client.post(f"/project/{project}/genai/demo/v1/chat/completions", json=HI)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("project_id", ["abc", "", "1.5", "1e3", "٣", "0x10", "9" * 1000])
async def test_project_id_is_an_integer(client: httpx.AsyncClient, project_id: str) -> None:
    path = "/project/p-1/genai/demo/v1/chat/completions"
    response = await client.post(path, params={"project_id": project_id}, json=HI)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "project_id"
    assert response.json()["error"]["code"] == "invalid_value"
