from __future__ import annotations

import pytest

from edge_llama.planning import obtain as module
from edge_llama.planning.obtain import find_here, obtain
from edge_llama.planning.reference import CatalogReference
from edge_llama.weights.store.record import InstalledModel, StoredFile
from edge_llama.weights.store.store import Store
from tests.gguf_factory import write_tiny_gguf

GB = 1_000_000_000


def test_what_a_model_was_asked_for_by_is_one_of_its_names(tiny: InstalledModel) -> None:
    found = obtain("tiny-f32.GGUF", budget=GB)
    assert found.path == tiny.path
    assert found.name.asked == "tiny-f32.GGUF"
    assert found.name.known_as == ("tiny-f32.GGUF",)


def test_an_alias_finds_what_is_installed_without_a_download(store: Store) -> None:
    store.root.mkdir(parents=True)
    path = write_tiny_gguf(store.root / "llama.gguf")
    store.add(
        [StoredFile(path, path.stat().st_size, "0" * 64)],
        quantization="Q8_0",
        source="hub",
        catalog_id="llama-3.1-8b-instruct",
    )
    assert obtain("llama3.1:8b", budget=GB, download=False).path == path
    missing = find_here("llama3.1:8b-instruct-q4_K_M")
    assert isinstance(missing, CatalogReference)
    assert missing.quantization == "Q4_K_M"


def test_an_address_is_no_name(tiny: InstalledModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "install", lambda *_, **__: tiny)
    address = "https://example.com/tiny.gguf?signature=secret"
    found = obtain(address, budget=GB, allow_url=True)
    assert found.path == tiny.path
    assert set(found.name.names) == {tiny.id}
