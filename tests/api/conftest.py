"""An app over a fake engine, and an HTTP client for it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from starlette.applications import Starlette

from edge_llama.api.app import create_app
from edge_llama.api.registry import ModelRegistry, ServedModel
from edge_llama.chat.model import ChatModel
from edge_llama.config import ServerSettings
from tests.fakes import FakeEngine, Script

ClientFor = Callable[..., httpx.AsyncClient]


def app_for(engine: FakeEngine, settings: ServerSettings | None = None) -> Starlette:
    """The API with one model, `demo`, and the seeds' names as aliases."""
    model = ServedModel(
        "demo",
        ChatModel(engine),
        aliases=("meta/llama-3.1-70b-instruct", "llama3_1_8b_instruct"),
        created=1738752367,
    )
    return create_app(ModelRegistry([model]), settings or ServerSettings())


def client_for(engine: FakeEngine, settings: ServerSettings | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app_for(engine, settings), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(Script())


@pytest.fixture
def client(engine: FakeEngine) -> httpx.AsyncClient:
    return client_for(engine)
