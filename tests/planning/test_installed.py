from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_llama.errors import UnknownModel
from edge_llama.planning.installed import installed_model
from edge_llama.planning.obtain import Obtained, find_here
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store


@pytest.mark.parametrize("name", ["tiny", "TINY-f", "Tiny-F32.g"])
def test_the_beginning_of_a_name_in_any_case(store: Store, tiny: InstalledModel, name: str) -> None:
    assert installed_model(name, store) == tiny
    found = find_here(name)
    assert isinstance(found, Obtained)
    assert found.path == tiny.path


def test_several_that_begin_so_are_named(store: Store, tiny: InstalledModel, gguf: Path) -> None:
    (file,) = tiny.files
    other = replace(file, path=gguf.with_name("tiny-other.gguf"), linked="reference")
    store.add([other], quantization="F32", source="import: here")
    with pytest.raises(UnknownModel, match=r"may be any of these: .*tiny-other") as raised:
        installed_model("tiny", store)
    assert "Tiny-F32" in str(raised.value)


def test_what_is_installed_and_like_it_is_named(store: Store, tiny: InstalledModel) -> None:
    with pytest.raises(UnknownModel, match=r"not installed.*like it: Tiny-F32\."):
        installed_model("Tyni-F32", store)
    with pytest.raises(UnknownModel, match=r"no model.*like it: Tiny-F32\."):
        find_here("Tyni-F32")
    with pytest.raises(UnknownModel, match=r"shows what is\.$"):
        installed_model("qwerty", store)


def test_a_name_of_the_catalog_is_not_the_beginning_of_another(
    store: Store, tiny: InstalledModel
) -> None:
    store.add(tiny.files, quantization="F32", source="hub", name="llama3.2-1b-mine")
    assert not isinstance(find_here("llama3.2"), Obtained)
