from __future__ import annotations

import pytest

from edge_llama.planning import obtain as module
from edge_llama.planning.obtain import obtain
from edge_llama.weights.store.record import InstalledModel

GB = 1_000_000_000


def test_what_a_model_was_asked_for_by_is_one_of_its_names(tiny: InstalledModel) -> None:
    found = obtain("tiny-f32.GGUF", budget=GB)
    assert found.path == tiny.path
    assert found.name.asked == "tiny-f32.GGUF"
    assert found.name.known_as == ("tiny-f32.GGUF",)


def test_an_address_is_no_name(tiny: InstalledModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "install", lambda *_, **__: tiny)
    address = "https://example.com/tiny.gguf?signature=secret"
    found = obtain(address, budget=GB, allow_url=True)
    assert found.path == tiny.path
    assert set(found.name.names) == {tiny.id}
