"""A tiny model, and engines that run it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.settings.engine import EngineSettings
from tests.gguf_factory import write_tiny_gguf


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest_asyncio.fixture
async def engine(tiny_gguf: Path) -> AsyncIterator[AsyncEngine]:
    settings = EngineSettings(model=str(tiny_gguf), ctx_size=512, parallel=3, threads=1)
    async with AsyncEngine(settings) as engine:
        yield engine
