from __future__ import annotations

from pathlib import Path

import pytest

from tests.gguf_factory import write_tiny_gguf


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short of context, so that measuring it takes no time."""
    folder = tmp_path_factory.mktemp("models")
    return write_tiny_gguf(folder / "tiny.gguf", n_layer=1, n_embd=32, n_ctx=1536)
