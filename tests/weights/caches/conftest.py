from __future__ import annotations

from pathlib import Path

import pytest

from tests.gguf_factory import write_tiny_gguf


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of one layer."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return write_tiny_gguf(path, n_vocab=300, n_layer=1, n_embd=32).read_bytes()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"
