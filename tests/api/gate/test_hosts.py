from __future__ import annotations

import httpx
import pytest

from edge_llama.errors import SettingsError
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import app_for, client_for
from tests.fakes import FakeEngine

MINE = ServerSettings(allowed_hosts=("llama.example.org", "Box."))


async def status(settings: ServerSettings, *hosts: str) -> int:
    transport = httpx.ASGITransport(app_for(FakeEngine(), settings))
    headers = [("Host", host) for host in hosts]
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        request = client.build_request("GET", "/v1/models")
        request.headers = httpx.Headers(headers)
        return (await client.send(request)).status_code


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "localhost.",
        "app.localhost:1",
        "127.0.0.1:8000",
        "127.9.9.9",
        "[::1]:8000",
        "[::1]",
        "::1",
        "192.168.1.7:80",
        "[fe80::1]:8000",
        "localhost:",
    ],
)
async def test_loopback_names_and_addresses_pass(host: str) -> None:
    assert await status(ServerSettings(), host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:8000",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "",
        ":8000",
        "evil.test:localhost",
        "localhost:80@evil.test",
        "[::1].evil.test",
        "[::1",
        "1.2.3",
        "localhost:x",
    ],
)
async def test_other_names_are_refused(host: str) -> None:
    assert await status(ServerSettings(), host) == 421


@pytest.mark.parametrize("host", ["llama.example.org", "LLAMA.example.org:443", "box", "box.:80"])
async def test_allowed_names_pass(host: str) -> None:
    assert await status(MINE, host) == 200
    assert await status(ServerSettings(), host) == 421


async def test_any_name_passes_if_any_is_allowed() -> None:
    assert await status(ServerSettings(allowed_hosts=("*",)), "evil.test") == 200


async def test_every_host_header_counts_and_none_is_needed() -> None:
    assert await status(ServerSettings(), "localhost", "evil.test") == 421
    assert await status(ServerSettings()) == 200


async def test_the_refusal_has_the_contracts_shape() -> None:
    client = client_for(FakeEngine(), MINE)
    response = await client.get("/health", headers={"Host": "evil.test"})
    assert response.status_code == 421
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "`allowed_hosts`" in error["message"]
    assert "evil" not in response.text


@pytest.mark.parametrize("host", ["http://x.org", "x.org:80", "", "a b", "ü.org", "x/y"])
def test_an_allowed_host_must_be_a_name(host: str) -> None:
    with pytest.raises(SettingsError, match="`allowed_hosts`"):
        ServerSettings(allowed_hosts=(host,))
