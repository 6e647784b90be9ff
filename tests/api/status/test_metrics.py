from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_llama.engine.client.async_engine import EngineState
from edge_llama.engine.protocol.stats import DiskStats, EngineStats
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine
from tests.virtual_time import in_virtual_time

HELLO = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    """Each by its name and its labels but the model."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            assert sample.labels.pop("model") == "demo"
            found["".join([sample.name, *sample.labels.values()])] = sample.value
    return found


async def test_figures_of_a_loaded_model(engine: FakeEngine, client: httpx.AsyncClient) -> None:
    await client.post("/v1/chat/completions", json=HELLO)
    engine.counts = EngineStats(
        running=2,
        waiting=3,
        prompt_tokens=10,
        cached_tokens=20,
        generated_tokens=30,
        cells=100,
        cells_used=40,
        cells_idle=15,
        disk=DiskStats(blocks_written=1, bytes_read=7, hit_tokens=5, absent=4, damaged=2),
    )
    told = await figures(client)
    assert told["edge_llama_loaded"] == 1
    assert told["edge_llama_requests_running"] == 2
    assert told["edge_llama_requests_waiting"] == 3
    assert told["edge_llama_prompt_tokens_total"] == 10
    assert told["edge_llama_generated_tokens_total"] == 30
    assert told["edge_llama_kv_cache_used_tokens"] == 40
    assert told["edge_llama_kv_cache_idle_tokens"] == 15
    assert told["edge_llama_disk_blocks_written_total"] == 1
    assert told["edge_llama_disk_bytes_read_total"] == 7
    assert told["edge_llama_disk_hit_tokens_total"] == 5
    assert told["edge_llama_disk_misses_totalabsent"] == 4
    assert told["edge_llama_disk_misses_totaldamaged"] == 2
    assert told["edge_llama_disk_misses_totalslow"] == 0


async def test_without_a_disk_cache_there_is_nothing_of_it(client: httpx.AsyncClient) -> None:
    await client.post("/v1/chat/completions", json=HELLO)
    told = await figures(client)
    assert "edge_llama_prompt_tokens_total" in told
    assert not any("disk" in name for name in told)


async def test_a_model_that_is_not_running_has_its_state(
    engine: FakeEngine, client: httpx.AsyncClient
) -> None:
    assert await figures(client) == {"edge_llama_loaded": 0}
    await client.post("/v1/chat/completions", json=HELLO)
    engine.state = EngineState.RESTARTING
    assert await figures(client) == {"edge_llama_loaded": 0}


@in_virtual_time
async def test_an_engine_that_does_not_answer_has_its_state(
    engine: FakeEngine, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.post("/v1/chat/completions", json=HELLO)
    monkeypatch.setattr("edge_llama.pool.pooled_model.STATS_SECONDS", 0.05)
    monkeypatch.setattr(engine, "stats", asyncio.Event().wait)
    assert await asyncio.wait_for(figures(client), 2) == {"edge_llama_loaded": 1}


async def test_metrics_need_the_key(engine: FakeEngine) -> None:
    client = client_for(engine, ServerSettings(api_key="secret"))
    assert (await client.get("/metrics")).status_code == 401
    answer = await client.get("/metrics", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 200
    assert "secret" not in answer.text
