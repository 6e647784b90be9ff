from __future__ import annotations

import base64
import hashlib
import re

import httpx

from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine


async def test_the_page_is_there_without_a_key(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    reply = await client.get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>edge_llama</title>" in reply.text
    async with client_for(engine, ServerSettings(api_key="secret")) as guarded:
        assert (await guarded.get("/")).text == reply.text
        assert (await guarded.get("/v1/models")).status_code == 401


async def test_a_browser_runs_what_is_in_the_page_and_asks_this_server_only(
    client: httpx.AsyncClient,
) -> None:
    reply = await client.get("/")
    policy = dict(
        directive.split(" ", 1)
        for directive in reply.headers["content-security-policy"].split("; ")
    )
    for kind in ("script", "style"):
        (content,) = re.findall(f"<{kind}>(.*?)</{kind}>", reply.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{kind}-src"] == f"'sha256-{digest}'"
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    assert policy["frame-ancestors"] == "'none'"
    assert not re.search(
        r"(src|href)=|https?://|innerHTML|insertAdjacent",
        reply.text.replace('<link rel="icon" href="data:,">', "").replace('href="/docs"', ""),
    )


async def test_what_is_said_is_never_read_as_html(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert "turn.textContent = text" in page
    assert "document.write" not in page
