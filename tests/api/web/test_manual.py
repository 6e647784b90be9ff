"""GET /docs and /docs/{topic}: the manual, as self-contained as the chat page."""

from __future__ import annotations

import base64
import hashlib
import re

import httpx
import pytest

from edge_llama.api.web.manual import render
from edge_llama.docs import TOPICS, pages
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine

ADDRESSES = ["/docs", *(f"/docs/{topic}" for topic in TOPICS)]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_page_is_there_without_a_key(engine: FakeEngine, address: str) -> None:
    async with client_for(engine, ServerSettings(api_key="secret")) as guarded:
        reply = await guarded.get(address)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert (await guarded.get("/v1/models")).status_code == 401


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_page_loads_and_runs_nothing(client: httpx.AsyncClient, address: str) -> None:
    reply = await client.get(address)
    (style,) = re.findall("<style>(.*?)</style>", reply.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert reply.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    chat = await client.get("/")
    for header in ("cache-control", "referrer-policy", "x-content-type-options"):
        assert reply.headers[header] == chat.headers[header]
    page = reply.text.replace('<link rel="icon" href="data:,">', "")
    assert not re.search(r"<(script|link|img|iframe|form|base)\b|\ssrc=|\sstyle=|\son\w+=", page)
    assert not re.search(r"url\(|@import", style)


async def test_the_index_leads_to_all_pages(client: httpx.AsyncClient) -> None:
    index = (await client.get("/docs")).text
    for page in pages():
        assert f'<dt><a href="/docs/{page.topic}">{page.title}</a></dt>' in index


async def test_links_lead_to_pages_and_their_headings(client: httpx.AsyncClient) -> None:
    texts = {address: (await client.get(address)).text for address in ADDRESSES}
    for address, text in texts.items():
        links = re.findall(r'<a href="([^"]*)"', text)
        for link in (link for link in links if not link.startswith("https://") and link != "/"):
            target, _, heading = link.partition("#")
            found = texts[target or address]
            assert not heading or f'id="{heading}"' in found, link


async def test_a_page_shows_where_it_stands(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs/serve")).text
    assert "<title>Serve - edge_llama</title>" in page
    assert '<a href="/docs/serve" aria-current="page">Serve</a>' in page
    assert '<li><a href="#speed">Speed</a></li>' in page
    assert '<h2 id="speed">Speed</h2>' in page
    assert '<code class="whole">--exit-with-parent</code>' in page


async def test_an_unknown_page_is_404(client: httpx.AsyncClient) -> None:
    reply = await client.get("/docs/cooking")
    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == "There is no such page. GET /docs lists them."


async def test_the_chat_page_leads_to_the_manual(client: httpx.AsyncClient) -> None:
    assert '<a href="/docs">' in (await client.get("/")).text


def test_html_is_text() -> None:
    html, _ = render("<script>alert(1)</script>\n\n[a](javascript:alert(1)) <b>b</b>")
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "<a" not in html


def test_sections_have_anchors_and_links_become_addresses() -> None:
    html, sections = render("## Use `--port` now\n\n[a](serve.md#speed) [b](https://example.org)")
    assert sections == [("use---port-now", "Use --port now")]
    assert '<h2 id="use---port-now">' in html
    assert 'href="/docs/serve#speed"' in html
    assert 'href="https://example.org"' in html
