"""A tiny model to put under load, and machines that are never busy."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_llama.bench.load.load import Load, concurrent
from edge_llama.bench.machine import busy
from edge_llama.settings.engine import EngineSettings
from tests.gguf_factory import write_tiny_gguf


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf", n_vocab=2048)


@pytest.fixture
def load() -> Load:
    return concurrent(2, 20, 5, apart=0.01)


@pytest.fixture
def settings(tiny_model: Path) -> EngineSettings:
    return EngineSettings(
        model=str(tiny_model), ctx_size=1024, parallel=2, threads=1, cached_sequences=0
    )


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy, "SECONDS", 0.0)
