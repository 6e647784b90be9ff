from __future__ import annotations

from typing import Any

import pytest

from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine

MESSAGES = [{"role": "user", "content": "Secret of mine"}]


async def test_the_prompt_of_a_conversation() -> None:
    body = {"messages": MESSAGES}
    told = (await client_for(FakeEngine()).post("/apply-template", json=body)).json()
    assert told["prompt"].startswith("<|begin_of_text|><|start_header_id|>")
    assert told["prompt"].endswith(
        "Secret of mine<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    refused = await client_for(FakeEngine()).post("/apply-template", json={})
    assert refused.json()["error"]["param"] == "messages"


async def test_props_and_slots_tell_of_the_model_and_of_no_request() -> None:
    client = client_for(FakeEngine())
    await client.post("/chat/completions", json={"messages": MESSAGES})
    props = (await client.get("/props")).json()
    assert props["model_alias"] == "demo"
    assert props["default_generation_settings"]["n_ctx"] == 2048
    slots = (await client.get("/slots")).json()
    assert len(slots) == props["total_slots"]
    assert slots[0].keys() == {"id", "n_ctx", "speculative", "is_processing"}
    for path in ("/props", "/slots", "/version", "/models"):
        assert "Secret" not in (await client.get(path)).text


@pytest.mark.parametrize("path", ["/props", "/slots", "/version", "/models"])
async def test_they_need_the_key(path: str) -> None:
    client = client_for(FakeEngine(), ServerSettings(api_key="secret"))
    assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {"messages": MESSAGES}),
        ("completions", {"prompt": "Hi"}),
        ("responses", {"input": "Hi"}),
        ("messages", {"messages": MESSAGES, "max_tokens": 5}),
    ],
)
async def test_one_model_needs_no_name(path: str, body: Any) -> None:
    response = await client_for(FakeEngine()).post(f"/v1/{path}", json=body)
    assert response.status_code == 200
    assert response.json()["model"] == "demo"
