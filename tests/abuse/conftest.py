"""Servers to be abused, on a tiny model: one for all that leave it as it was, and new ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.abuse.alive import WatchedServer, watched
from tests.gguf_factory import write_tiny_gguf


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    return write_tiny_gguf(path, n_ctx=32768)


@pytest.fixture(scope="session")
def shared_server(tiny_gguf: Path) -> Iterator[WatchedServer]:
    with watched(str(tiny_gguf), "--ctx-size", "8192", "--max-queue", "16") as server:
        yield server


@pytest.fixture
def server(shared_server: WatchedServer) -> Iterator[WatchedServer]:
    """Whatever is done to it, it must be as it was afterwards."""
    with shared_server.unharmed():
        yield shared_server
