from __future__ import annotations

from typing import Any

import httpx
import pytest

from edge_llama.errors import SettingsError
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine

KEY = "sk-secret"


@pytest.fixture
def guarded(engine: FakeEngine) -> httpx.AsyncClient:
    return client_for(engine, ServerSettings(api_key=KEY))


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer  {KEY}"])
async def test_the_key_opens(guarded: httpx.AsyncClient, header: str) -> None:
    response = await guarded.get("/v1/models", headers={"Authorization": header})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", KEY, f"Basic {KEY}", f"Bearer {KEY}x"]
)
async def test_everything_else_is_401(guarded: httpx.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = await guarded.get("/v1/models", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert KEY not in response.text


async def test_a_key_beyond_ascii_is_401(guarded: httpx.AsyncClient) -> None:
    headers = {b"Authorization": b"Bearer \xff\xfe\x80"}
    assert (await guarded.get("/v1/models", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1/chat/completions", "/healthy", "/health/x", "/docsx"]
)
async def test_all_other_paths_are_guarded(guarded: httpx.AsyncClient, path: str) -> None:
    assert (await guarded.get(path)).status_code == 401


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/docs/serve", "/health", "/health/live", "/health/ready"]
)
async def test_health_and_the_pages_are_public(guarded: httpx.AsyncClient, path: str) -> None:
    assert (await guarded.get(path)).status_code == 200


async def test_without_a_key_everything_is_open(client: httpx.AsyncClient) -> None:
    headers = {"Authorization": "Bearer whatever"}
    assert (await client.get("/v1/models", headers=headers)).status_code == 200


async def test_blanks_around_the_configured_key_do_not_matter(engine: FakeEngine) -> None:
    client = client_for(engine, ServerSettings(api_key=f" {KEY}\n"))
    headers = {"Authorization": f"Bearer {KEY}"}
    assert (await client.get("/v1/models", headers=headers)).status_code == 200
    assert (await client.get("/v1/models")).status_code == 401


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_an_empty_key_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="`api_key` is empty"):
        ServerSettings(api_key=key)


@pytest.mark.parametrize("key", ["schlüssel", "a\tb", "a\nb", "a\x7f", "\udcff"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="`api_key` has characters") as caught:
        ServerSettings(api_key=key)
    assert key not in str(caught.value)


async def domain_of(engine: FakeEngine, headers: dict[str, str], **options: Any) -> str:
    """The cache domain of a request with these settings."""
    client = client_for(engine, ServerSettings(**options))
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
    response = await client.post("/v1/chat/completions", json=body, headers=headers)
    assert response.status_code == 200
    return engine.submitted[-1].options.cache_domain


async def test_each_key_has_a_cache_domain_of_its_own_unless_they_share(engine: FakeEngine) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    first = await domain_of(engine, headers, api_key=KEY)
    assert first == await domain_of(engine, headers, api_key=f" {KEY} ")
    assert KEY not in first
    other = await domain_of(engine, {"Authorization": "Bearer sk-other"}, api_key="sk-other")
    assert len({first, other, ""}) == 3
    assert await domain_of(engine, headers, api_key=KEY, share_prefixes=True) == ""


async def test_without_a_key_there_is_one_cache_domain(engine: FakeEngine) -> None:
    assert await domain_of(engine, {}) == ""
    assert await domain_of(engine, {"Authorization": "Bearer whatever"}) == ""
