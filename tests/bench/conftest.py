"""A tiny model to put under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_llama.bench.scenarios import Metric, Scenario, engine_settings
from edge_llama.config import EngineSettings
from tests.gguf_factory import write_tiny_gguf

SMALL_LOAD = Scenario("two small ones", Metric.THROUGHPUT, 2, 20, 5)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf", n_vocab=2048)


@pytest.fixture
def load() -> Scenario:
    return SMALL_LOAD


@pytest.fixture
def settings(tiny_model: Path) -> EngineSettings:
    return engine_settings(str(tiny_model), [SMALL_LOAD], threads=1)
