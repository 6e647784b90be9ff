"""An app over a fake engine, and an HTTP client for it."""

from __future__ import annotations

import dataclasses
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from edge_llama.api.app import create_app
from edge_llama.pool.pooled_model import PooledModel
from edge_llama.pool.registry import ModelRegistry, ServedModel
from edge_llama.settings.pool import PoolSettings
from edge_llama.settings.server import ServerSettings
from tests.fakes import FakeEngine, Script

POOL_OPTIONS = {field.name for field in dataclasses.fields(PoolSettings)}


def app_of(*models: ServedModel, **options: Any) -> Starlette:
    """The API with these models. Options are those of `PoolSettings` and `ServerSettings`."""
    pool_options = {name: options.pop(name) for name in POOL_OPTIONS & options.keys()}
    registry = ModelRegistry(models, PoolSettings(**pool_options))
    return create_app(registry, ServerSettings(**options))


def app_for(engine: FakeEngine, settings: ServerSettings | None = None) -> Starlette:
    """The API with one model, `demo`, and the seeds' names as aliases."""
    model = ServedModel(
        "demo",
        PooledModel("demo", lambda: engine),
        aliases=("meta/llama-3.1-70b-instruct", "llama3_1_8b_instruct"),
        created=1738752367,
    )
    return create_app(ModelRegistry([model]), settings or ServerSettings())


def client_of(app: Starlette) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def client_for(engine: FakeEngine, settings: ServerSettings | None = None) -> httpx.AsyncClient:
    return client_of(app_for(engine, settings))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(Script())


@pytest.fixture
def client(engine: FakeEngine) -> httpx.AsyncClient:
    return client_for(engine)
