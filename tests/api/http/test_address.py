from __future__ import annotations

import httpx
import pytest

from edge_llama.api.app import create_app
from edge_llama.pool.pooled_model import PooledModel
from edge_llama.pool.registry import ModelRegistry, ServedModel
from edge_llama.settings.server import ServerSettings
from tests.api.asgi_call import AsgiCall
from tests.api.conftest import app_for, client_of
from tests.fakes import FakeEngine

URL = "https://example.org/tiny.gguf"


@pytest.mark.parametrize(
    "path",
    ["/v1/models/", "/v1//models", "//v1/models", "/v1//models//", "/health/", "/v1/models/demo/"],
)
async def test_slashes_do_not_matter(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get("http://localhost" + path)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/project/p-1/genai/demo/v1//chat/completions/",
    ],
)
async def test_posts_are_not_redirected(client: httpx.AsyncClient, path: str) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
    assert (await client.post(path, json=body)).status_code == 200


async def test_slashes_in_a_models_name_stay() -> None:
    model = ServedModel(URL, PooledModel(URL, FakeEngine))
    app = create_app(ModelRegistry([model]), ServerSettings())
    async with client_of(app) as client:
        assert (await client.get(f"/v1/models/{URL}")).json()["id"] == URL


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("http://127.0.0.1:8000/v1/chat/completions", 400),
        ("HTTPS://localhost/v1/chat/completions/", 400),
        ("http://evil.test/v1/chat/completions", 421),
    ],
)
async def test_the_request_line_may_have_the_whole_address(path: str, status: int) -> None:
    """Its host counts: the Host header is not looked at."""
    call = AsgiCall(app_for(FakeEngine()), path, [b"{}"], [(b"host", b"localhost")])
    await call.finished()
    assert call.sent[0]["status"] == status


async def test_a_whole_address_does_not_excuse_from_the_key() -> None:
    app = app_for(FakeEngine(), ServerSettings(api_key="secret"))
    call = AsgiCall(app, "http://localhost/v1/chat/completions", [b"{}"])
    await call.finished()
    assert call.sent[0]["status"] == 401
