"""Fixtures: the store that commands of this process use, and a model in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_llama.weights.caches.adopt import adopt
from edge_llama.weights.caches.scan import find_at
from edge_llama.weights.catalog.catalog import Catalog
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store, default_store
from tests.gguf_factory import write_tiny_gguf


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The empty store that commands of this process use."""
    monkeypatch.setenv("EDGE_LLAMA_HOME", str(tmp_path / "home"))
    return default_store()


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """A small model outside the store."""
    path = tmp_path / "elsewhere" / "Tiny-F32.gguf"
    path.parent.mkdir()
    return write_tiny_gguf(path, n_vocab=300, n_layer=1, n_embd=32)


@pytest.fixture
def tiny(store: Store, gguf: Path) -> InstalledModel:
    """`gguf`, installed as `Tiny-F32`."""
    (found,) = find_at(gguf).models
    return adopt(found, store, Catalog(()))
