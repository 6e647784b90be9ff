from __future__ import annotations

import httpx
import pytest

from edge_llama.errors import SettingsError
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine

MINE = "https://app.example.org"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}


def cors_of(response: httpx.Response) -> dict[str, str]:
    return {k: v for k, v in response.headers.items() if k.startswith("access-control-allow-o")}


async def preflight(client: httpx.AsyncClient, origin: str) -> httpx.Response:
    headers = {"Origin": origin, **PREFLIGHT}
    return await client.options("/v1/chat/completions", headers=headers)


async def test_by_default_no_page_may_read_anything() -> None:
    client = client_for(FakeEngine())
    for origin in (MINE, "http://localhost:3000", "null"):
        assert not any(
            "access-control" in name for name in (await preflight(client, origin)).headers
        )
        response = await client.get("/v1/models", headers={"Origin": origin})
        assert response.status_code == 200
        assert not any("access-control" in name for name in response.headers)


async def test_an_allowed_page_may_ask_with_a_key_and_read_refusals() -> None:
    client = client_for(FakeEngine(), ServerSettings(cors_origins=(MINE,), api_key="secret"))
    leave = await preflight(client, MINE)
    assert leave.status_code == 200
    assert cors_of(leave) == {"access-control-allow-origin": MINE}
    assert "x-stainless-os" in leave.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in leave.headers
    refused = await client.get("/v1/models", headers={"Origin": MINE})
    assert refused.status_code == 401
    assert cors_of(refused) == {"access-control-allow-origin": MINE}


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "https://app.example.org.evil.test", "null"]
)
async def test_a_foreign_page_may_not(origin: str) -> None:
    client = client_for(FakeEngine(), ServerSettings(cors_origins=(MINE,)))
    assert cors_of(await preflight(client, origin)) == {}
    assert cors_of(await client.get("/v1/models", headers={"Origin": origin})) == {}


async def test_all_pages_may_if_told_so() -> None:
    client = client_for(FakeEngine(), ServerSettings(cors_origins=("*",)))
    response = await client.get("/v1/models", headers={"Origin": "https://any.test"})
    assert cors_of(response) == {"access-control-allow-origin": "*"}


@pytest.mark.parametrize(
    "origin", ["app.example.org", "https://x.org/", "https://x.org/a", "", "null"]
)
def test_an_origin_is_written_as_browsers_do(origin: str) -> None:
    with pytest.raises(SettingsError, match="`cors_origins`"):
        ServerSettings(cors_origins=(origin,))


@pytest.mark.parametrize(
    ("origins", "status"), [((MINE,), 200), (("*",), 200), (("https://b",), 400)]
)
async def test_an_allowed_public_page_may_reach_this_machine(
    origins: tuple[str, ...], status: int
) -> None:
    client = client_for(FakeEngine(), ServerSettings(cors_origins=origins))
    asked = {"Origin": MINE, **PREFLIGHT, "Access-Control-Request-Private-Network": "true"}
    leave = await client.options("/v1/chat/completions", headers=asked)
    assert leave.status_code == status
    allowed = leave.headers.get("Access-Control-Allow-Private-Network")
    assert allowed == ("true" if status == 200 else None)
    del asked["Access-Control-Request-Private-Network"]
    plain = await client.options("/v1/chat/completions", headers=asked)
    assert "Access-Control-Allow-Private-Network" not in plain.headers
