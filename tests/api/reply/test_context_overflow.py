from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine, Script, model_info

TURNS = [
    {"role": "user", "content": "one " * 40},
    {"role": "assistant", "content": "two " * 40},
    {"role": "user", "content": "three"},
]
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": {"model": "demo", "messages": TURNS, "max_tokens": 9},
    "responses": {"model": "demo", "input": TURNS, "max_output_tokens": 9},
    "messages": {"model": "demo", "messages": TURNS, "max_tokens": 9},
}
HEADER = "X-Edge-Llama-Dropped-Messages"
TRUNCATE = {"context_overflow": "truncate_oldest"}


def small_engine() -> FakeEngine:
    return FakeEngine(Script(), info=model_info(n_ctx=100))


@pytest.fixture
def client() -> httpx.AsyncClient:
    return client_for(small_engine())


@pytest.mark.parametrize("route", BODIES)
async def test_the_oldest_turns_are_dropped_and_told(client: httpx.AsyncClient, route: str) -> None:
    response = await client.post(f"/v1/{route}", json=BODIES[route] | TRUNCATE)
    assert response.status_code == 200
    assert response.headers[HEADER] == "2"
    assert response.json()["context_overflow"] == {"dropped_messages": 2, "dropped_tokens": 92}


@pytest.mark.parametrize("route", BODIES)
async def test_a_stream_tells_it_too(client: httpx.AsyncClient, route: str) -> None:
    body = BODIES[route] | TRUNCATE | {"stream": True}
    response = await client.post(f"/v1/{route}", json=body)
    assert response.headers[HEADER] == "2"
    first = json.loads(response.text.partition("data: ")[2].partition("\n")[0])
    told = first.get("response", first.get("message", first))
    assert told["context_overflow"]["dropped_messages"] == 2


@pytest.mark.parametrize("route", BODIES)
async def test_the_prompt_is_the_shortened_one(route: str) -> None:
    engine = small_engine()
    await client_for(engine).post(f"/v1/{route}", json=BODIES[route] | TRUNCATE)
    text = str(engine.submitted[0].prompt)
    assert "three" in text
    assert "one" not in text


async def test_what_fits_is_not_touched(client: httpx.AsyncClient) -> None:
    body = BODIES["chat/completions"] | {"messages": TURNS[2:]} | TRUNCATE
    response = await client.post("/v1/chat/completions", json=body)
    assert HEADER not in response.headers
    assert "context_overflow" not in response.json()


@pytest.mark.parametrize(
    ("default", "asked", "dropped"),
    [
        ("refuse", {}, False),
        ("refuse", TRUNCATE, True),
        ("truncate_oldest", {}, True),
        ("truncate_oldest", {"context_overflow": "refuse"}, False),
    ],
)
async def test_a_request_wins_over_the_server(
    default: Any, asked: dict[str, Any], dropped: bool
) -> None:
    client = client_for(small_engine(), ServerSettings(context_overflow=default))
    response = await client.post("/v1/chat/completions", json=BODIES["chat/completions"] | asked)
    assert (HEADER in response.headers) == dropped


@pytest.mark.parametrize(("truncation", "dropped"), [("auto", True), ("disabled", False)])
async def test_truncation_of_responses(
    client: httpx.AsyncClient, truncation: str, dropped: bool
) -> None:
    body = BODIES["responses"] | {"truncation": truncation}
    response = await client.post("/v1/responses", json=body)
    assert (HEADER in response.headers) == dropped
    assert response.json()["truncation"] == truncation


async def test_other_values_are_refused(client: httpx.AsyncClient) -> None:
    body = BODIES["chat/completions"] | {"context_overflow": "truncate_middle"}
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "context_overflow"
