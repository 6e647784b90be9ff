from __future__ import annotations

from typing import Any

import httpx
import pytest

from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine

USER = {"role": "user", "content": "Hi"}
CHAT: dict[str, Any] = {"model": "demo", "messages": [USER]}
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": CHAT,
    "completions": {"model": "demo", "prompt": "Hi"},
    "responses": {"model": "demo", "input": "Hi"},
    "messages": CHAT | {"max_tokens": 5},
}
HEADER = "X-Edge-Llama-Ignored"


@pytest.fixture
def strict() -> httpx.AsyncClient:
    return client_for(FakeEngine(), ServerSettings(strict=True))


@pytest.mark.parametrize("route", BODIES)
@pytest.mark.parametrize("stream", [True, False])
async def test_ignored_fields_are_named(
    client: httpx.AsyncClient, route: str, stream: bool
) -> None:
    body = BODIES[route] | {"store": True, "stream": stream, "metadata": {}, "user": None}
    response = await client.post(f"/v1/{route}", json=body)
    assert response.status_code == 200
    assert response.headers[HEADER] == "store,metadata"


@pytest.mark.parametrize("route", BODIES)
async def test_without_them_there_is_no_header(client: httpx.AsyncClient, route: str) -> None:
    body = BODIES[route] | {"tools": [], "parallel_tool_calls": None, "seed": 5}
    response = await client.post(f"/v1/{route}", json=body)
    assert response.status_code == 200
    assert HEADER not in response.headers


@pytest.mark.parametrize("route", BODIES)
async def test_a_strict_server_refuses_them(strict: httpx.AsyncClient, route: str) -> None:
    assert (await strict.post(f"/v1/{route}", json=BODIES[route])).status_code == 200
    response = await strict.post(f"/v1/{route}", json=BODIES[route] | {"store": True})
    assert response.status_code == 400
    assert "store is not used by this server" in response.json()["error"]["message"]


async def test_the_refusal_names_the_field(strict: httpx.AsyncClient) -> None:
    response = await strict.post("/v1/chat/completions", json=CHAT | {"stream": True, "store": 1})
    assert response.json()["error"]["param"] == "store"
    assert response.json()["error"]["code"] == "unsupported_parameter"


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"messages": [USER | {"name": "ann"}, USER | {"name": "bo"}]}, "messages[].name"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x"),
        ({"Größe": 1, "a\r\nSet-Cookie: b": 1, "x" * 101: 1, "ok": 1}, f"?,?,{'x' * 97}...,ok"),
        ({f"f{n}": 1 for n in range(25)}, ",".join(f"f{n}" for n in range(20)) + ",..."),
    ],
)
async def test_names_in_the_header(
    client: httpx.AsyncClient, extra: dict[str, Any], named: str
) -> None:
    response = await client.post("/v1/chat/completions", json=CHAT | extra)
    assert response.status_code == 200
    assert response.headers[HEADER] == named


async def test_a_strict_server_takes_its_own_answers_back(strict: httpx.AsyncClient) -> None:
    first = (await strict.post("/v1/responses", json=BODIES["responses"])).json()
    body = BODIES["responses"] | {"input": [*first["output"], USER]}
    assert (await strict.post("/v1/responses", json=body)).status_code == 200
    message = (await strict.post("/v1/messages", json=BODIES["messages"])).json()
    turns = [USER, {"role": "assistant", "content": message["content"]}, USER]
    body = BODIES["messages"] | {"messages": turns}
    assert (await strict.post("/v1/messages", json=body)).status_code == 200
    chat = (await strict.post("/v1/chat/completions", json=CHAT)).json()
    body = CHAT | {"messages": [USER, chat["choices"][0]["message"], USER]}
    assert (await strict.post("/v1/chat/completions", json=body)).status_code == 200
