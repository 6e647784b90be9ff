"""Keys with limits, through the whole app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_llama.accounts.accounts import Accounts
from edge_llama.accounts.key import hash_key
from edge_llama.accounts.key_store import KeyStore
from edge_llama.accounts.limits import KeyLimits
from edge_llama.accounts.prices import Price
from edge_llama.accounts.state_file import StateFile
from edge_llama.accounts.usage import Spent, read_usage
from edge_llama.api.app import create_app
from edge_llama.api.endpoint import Endpoint
from edge_llama.api.endpoints import ROOT_ENDPOINTS, V1_ENDPOINTS
from edge_llama.api.gate.hashed_key import HashedKey
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.pool.pooled_model import PooledModel
from edge_llama.pool.registry import ModelRegistry, ServedModel
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_of
from tests.fakes import FakeEngine, Script

HELLO = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
PROMPT = 10
ANSWER = ["a", "b", "c", "d"]


class House:
    """A server with two models, and its keys."""

    def __init__(self, file: StateFile, **settings: Any) -> None:
        self.file = file
        self.store = KeyStore(file)
        script = Script(ANSWER, prompt_tokens=PROMPT, finish=FinishReason.LENGTH)
        self.engines = {name: FakeEngine(script) for name in ("demo", "other")}
        models = [
            ServedModel(name, PooledModel(name, partial(self.engines.__getitem__, name)))
            for name in self.engines
        ]
        accounts = Accounts(file, {"demo": Price(input=100_000, output=1_000_000)})
        self.app = create_app(ModelRegistry(models), ServerSettings(**settings), accounts)

    @asynccontextmanager
    async def client(self, secret: str) -> AsyncIterator[httpx.AsyncClient]:
        async with client_of(self.app) as client:
            client.headers["authorization"] = f"Bearer {secret}"
            yield client

    def usage(self) -> dict[str, Spent]:
        return {row.group: row.usage for row in read_usage(self.file.connect(), "key")}


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state.sqlite3")


@asynccontextmanager
async def opened(file: StateFile, **settings: Any) -> AsyncIterator[House]:
    house = House(file, **settings)
    async with house.app.router.lifespan_context(house.app):
        yield house


async def test_keys_open_and_are_counted(file: StateFile) -> None:
    async with opened(file) as house:
        key, secret = house.store.create("alice", KeyLimits(rpm=5, tpm=1000))
        async with house.client(secret) as client:
            answer = await client.post("/v1/chat/completions", json={**HELLO, "max_tokens": 50})
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-ratelimit-limit-requests"] == "5"
            assert answer.headers["x-ratelimit-remaining-requests"] == "4"
            assert answer.headers["x-ratelimit-remaining-tokens"] == str(1000 - PROMPT - 4)
            assert answer.headers["x-ratelimit-reset-tokens"].endswith("s")
            streamed = await client.post(
                "/v1/chat/completions", json={**HELLO, "stream": True, "max_tokens": 50}
            )
            assert streamed.text.endswith("data: [DONE]\n\n")
        async with house.client("sk-wrong") as client:
            answer = await client.get("/v1/models")
            assert answer.status_code == 401
            assert "x-ratelimit-limit-requests" not in answer.headers
    assert house.usage() == {
        key.id: Spent(
            requests=2, prompt_tokens=2 * PROMPT, completion_tokens=8, cents=2 * (1.0 + 4.0)
        )
    }


async def test_without_any_key_nobody_is_counted(file: StateFile) -> None:
    async with opened(file) as house, client_of(house.app) as client:
        assert (await client.post("/v1/chat/completions", json=HELLO)).status_code == 200
        house.store.create("alice")
        assert (await client.post("/v1/chat/completions", json=HELLO)).status_code == 401
        house.store.revoke("alice")
        assert (await client.post("/v1/chat/completions", json=HELLO)).status_code == 401
    assert house.usage() == {}


async def test_keys_of_settings_are_counted_by_name(file: StateFile) -> None:
    alice = HashedKey("alice", hash_key("of-file"))
    async with opened(file, api_key="main-key", api_keys=[alice]) as house:
        for secret in ("main-key", "of-file"):
            async with house.client(secret) as client:
                answer = await client.post("/v1/embeddings", json={"model": "demo", "input": "a"})
                assert answer.status_code == 200, answer.text
    assert {name: usage.requests for name, usage in house.usage().items()} == {
        "main": 1,
        "alice": 1,
    }


async def test_a_minutes_requests(file: StateFile) -> None:
    async with opened(file) as house:
        _, secret = house.store.create("alice", KeyLimits(rpm=2))
        _, other = house.store.create("bob")
        async with house.client(secret) as client:
            asked = [client.post("/v1/chat/completions", json=HELLO) for _ in range(5)]
            answers = await asyncio.gather(*asked)
            codes = sorted(answer.status_code for answer in answers)
            assert codes == [200, 200, 429, 429, 429]
            [refused, *_] = [each for each in answers if each.status_code == 429]
            assert refused.json()["error"]["code"] == "rate_limit_exceeded"
            assert 1 <= int(refused.headers["retry-after"]) <= 61
            assert refused.headers["x-ratelimit-remaining-requests"] == "0"
            assert (await client.get("/v1/models")).status_code == 200
        async with house.client(other) as client:
            assert (await client.post("/v1/chat/completions", json=HELLO)).status_code == 200


async def test_tokens_of_many_at_once_do_not_pass_the_limit(file: StateFile) -> None:
    async with opened(file) as house:
        _, secret = house.store.create("alice", KeyLimits(tpm=100))
        async with house.client(secret) as client:
            body = {**HELLO, "max_tokens": 20}
            asked = [client.post("/v1/chat/completions", json=body) for _ in range(20)]
            answers = await asyncio.gather(*asked)
    good = sum(answer.status_code == 200 for answer in answers)
    assert {answer.status_code for answer in answers} == {200, 429}
    [usage] = house.usage().values()
    assert usage.tokens == good * (PROMPT + 4) <= 100


async def test_an_answer_ends_where_the_limit_does(file: StateFile) -> None:
    async with opened(file) as house:
        _, secret = house.store.create("alice", KeyLimits(tpm=PROMPT + 5))
        async with house.client(secret) as client:
            answer = await client.post("/v1/chat/completions", json={**HELLO, "n": 2})
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert {choice["finish_reason"] for choice in body["choices"]} == {"length"}
            assert body["usage"]["completion_tokens"] == 5
            refused = await client.post("/v1/chat/completions", json=HELLO)
            assert refused.status_code == 429
    [usage] = house.usage().values()
    assert usage.tokens == PROMPT + 5


async def test_a_refused_request_is_given_up_in_the_engine(file: StateFile) -> None:
    async with opened(file) as house:
        _, secret = house.store.create("alice", KeyLimits(tpm=5))
        async with house.client(secret) as client:
            refused = await client.post("/v1/chat/completions", json=HELLO)
            assert refused.status_code == 429
            assert "5 tokens a minute" in refused.json()["error"]["message"]
        assert house.engines["demo"].generations[0].aborts == [None]
    assert house.usage() == {}


async def test_a_budget(file: StateFile) -> None:
    async with opened(file) as house:
        _, secret = house.store.create("alice", KeyLimits(budget_cents=6))
        async with house.client(secret) as client:
            body = {**HELLO, "max_tokens": 5}
            first = await client.post("/v1/chat/completions", json=body)
            assert first.status_code == 200, first.text  # 1 cent for the prompt, 4 for the answer
            refused = await client.post("/v1/chat/completions", json=body)
            assert refused.status_code == 402
            assert refused.json()["error"]["code"] == "budget_exceeded"
            free = await client.post("/v1/chat/completions", json={**body, "model": "other"})
            assert free.status_code == 200


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        *((f"/v1{each.path}", each) for each in V1_ENDPOINTS if each.body is not None),
        *((each.path, each) for each in ROOT_ENDPOINTS if each.body is not None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_key_for_one_model(path: str, endpoint: Endpoint, file: StateFile) -> None:
    """Whatever is asked of another model is refused, by every endpoint that takes one."""
    async with opened(file) as house:
        _, secret = house.store.create("alice", KeyLimits(models=("demo",)))
        body = {**(endpoint.example or {}), "model": "other"}
        async with house.client(secret) as client:
            refused = await client.post(path, json=body)
            assert refused.status_code == 403, refused.text
            assert "may not use the model other" in refused.text
            models = (await client.get("/v1/models")).json()["data"]
            assert [model["id"] for model in models] == ["demo"]
            assert (await client.get("/v1/models/other")).status_code == 403
            assert (await client.get("/v1/models/demo")).status_code == 200


async def test_a_key_of_the_lower_tier(file: StateFile) -> None:
    async with opened(file) as house:
        _, secret = house.store.create("night", KeyLimits(tier="flex"))
        async with house.client(secret) as client:
            await client.post("/v1/chat/completions", json=HELLO)
            await client.post("/v1/embeddings", json={"model": "demo", "input": "a"})
        tiers = [request.options.tier for request in house.engines["demo"].submitted]
        assert tiers == [ServiceTier.FLEX, ServiceTier.FLEX]


async def test_streams_of_a_key_at_once(file: StateFile) -> None:
    async with opened(file) as house:
        _, secret = house.store.create("alice", KeyLimits(parallel=1))
        house.engines["demo"].scripts = [Script(ANSWER, hang=True)]
        async with house.client(secret) as client:
            running = asyncio.create_task(
                client.post("/v1/chat/completions", json={**HELLO, "stream": True})
            )
            while not house.engines["demo"].submitted:  # noqa: ASYNC110
                await asyncio.sleep(0)
            refused = await client.post("/v1/chat/completions", json={**HELLO, "model": "other"})
            assert refused.status_code == 429
            assert "at the same time" in json.loads(refused.text)["error"]["message"]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


CONTINUED = [
    *((f"/v1{each.path}", each) for each in V1_ENDPOINTS),
    *((each.path, each) for each in ROOT_ENDPOINTS),
]
FREE = {"tokenize", "detokenize", "count_tokens", "apply-template", "infill"}
"""Ends of paths that generate nothing, or nothing with this model."""


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        (path, each)
        for path, each in CONTINUED
        if each.body is not None and path.rpartition("/")[2] not in FREE
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_whatever_generates_is_counted(
    path: str, endpoint: Endpoint, file: StateFile
) -> None:
    async with opened(file) as house:
        _, secret = house.store.create("alice", KeyLimits(tpm=1000))
        async with house.client(secret) as client:
            answer = await client.post(path, json=endpoint.example)
            assert answer.status_code == 200, answer.text
    [usage] = house.usage().values()
    assert usage.requests >= 1
    assert usage.tokens >= PROMPT
