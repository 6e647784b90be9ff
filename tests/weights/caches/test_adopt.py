from __future__ import annotations

import hashlib
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edge_llama.bench.synthetic.blocks import WeightFormat
from edge_llama.bench.synthetic.gguf_writer import Tensor, write_gguf
from edge_llama.errors import ModelFileError
from edge_llama.weights.caches import adopt as module
from edge_llama.weights.caches.adopt import adopt, adopted
from edge_llama.weights.caches.found import FoundFile, FoundModel
from edge_llama.weights.caches.scan import find_at
from edge_llama.weights.catalog.catalog import Catalog, CatalogModel, Repository
from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.store.progress import Progress
from edge_llama.weights.store.store import Store
from tests.gguf_factory import write_tiny_gguf

EMPTY = Catalog(())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny(tmp_path / "elsewhere" / "Tiny-Q4_K_M.gguf")


def tiny(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_tiny_gguf(path, n_vocab=300, n_layer=1, n_embd=32, seed=seed)


def found_at(path: Path) -> FoundModel:
    (model,) = find_at(path).models
    return model


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_linked_and_not_copied(store: Store, path: Path) -> None:
    model = adopt(found_at(path), store, EMPTY)
    (file,) = model.files
    assert file.linked == "hard link"
    assert file.path.is_relative_to(store.root)
    assert file.path.samefile(path)
    assert (file.sha256, file.size) == (sha256(path), path.stat().st_size)
    assert (model.id, model.quantization, model.source) == (
        "Tiny-Q4_K_M",
        "Q4_K_M",
        f"import: {path}",
    )
    assert store.find("tiny-q4_k_m") == model
    assert [report.state for report in store.verify(model)] == ["ok"]


def test_the_other_program_keeps_its_file(store: Store, path: Path) -> None:
    model = adopt(found_at(path), store, EMPTY)
    before = path.read_bytes()
    assert store.remove(model) == 0
    assert path.read_bytes() == before
    assert store.installed() == []


def test_ours_stays_when_the_other_program_removes_its_own(store: Store, path: Path) -> None:
    model = adopt(found_at(path), store, EMPTY)
    path.unlink()
    assert [report.state for report in store.verify(model)] == ["ok"]


def test_another_file_system_is_a_reference(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    model = adopt(found_at(path), store, EMPTY)
    assert [(file.linked, file.path) for file in model.files] == [("reference", path)]
    assert not (store.root / "imported").exists()
    assert store.remove(model) == 0
    assert path.is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no user ids")
def test_the_file_of_another_user_is_a_reference(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert adopt(found_at(path), store, EMPTY).files[0].linked == "reference"


def test_a_name_that_is_taken_is_a_reference(store: Store, tmp_path: Path, path: Path) -> None:
    adopt(found_at(path), store, EMPTY)
    other = tiny(tmp_path / "other" / path.name, seed=2)
    model = adopt(found_at(other), store, EMPTY)
    assert model.files[0].linked == "reference"
    assert len({known.id for known in store.installed()}) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_name_that_the_store_refuses_is_a_reference(store: Store, tmp_path: Path) -> None:
    model = adopt(found_at(tiny(tmp_path / "a: b?.gguf")), store, EMPTY)
    assert (model.id, model.files[0].linked) == ("a: b?", "reference")


def test_all_parts_of_a_split_model_stay_side_by_side(store: Store, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "elsewhere")
    model = adopt(found_at(parts[1]), store, EMPTY)
    assert [file.path.name for file in model.files] == [part.name for part in parts]
    assert len({file.path.parent for file in model.files}) == 1
    assert all(file.path.samefile(part) for file, part in zip(model.files, parts, strict=True))
    assert model.id == "Tiny-F32"


def write_split(folder: Path) -> list[Path]:
    """A model in two files with one tensor each."""
    folder.mkdir()
    paths = [folder / f"Tiny-F32-0000{number}-of-00002.gguf" for number in (1, 2)]
    for number, path in enumerate(paths):
        weights = [np.full(32, number, np.float32)]
        tensor = Tensor(f"t{number}", (32,), WeightFormat.F32, partial(iter, weights))
        metadata: dict[str, str | int] = {
            "general.architecture": "llama",
            "split.no": number,
            "split.count": 2,
        }
        write_gguf(path, metadata, [tensor])
    return paths


def test_a_file_that_was_adopted_is_known_again(store: Store, tmp_path: Path, path: Path) -> None:
    found = found_at(path)
    assert adopted(found, store.installed()) is None
    model = adopt(found, store, EMPTY)
    assert adopted(found, store.installed()) == model
    assert adopted(found_at(tiny(tmp_path / "other.gguf", seed=2)), store.installed()) is None


def test_the_same_content_is_not_installed_twice(store: Store, tmp_path: Path, path: Path) -> None:
    model = adopt(found_at(path), store, EMPTY)
    copy = tiny(tmp_path / "copy" / "Copy.gguf")
    assert copy.read_bytes() == path.read_bytes()
    assert adopt(found_at(copy), store, EMPTY) == model
    assert store.installed() == [model]


def test_adopting_twice_is_one_model(store: Store, path: Path) -> None:
    assert adopt(found_at(path), store, EMPTY).id == adopt(found_at(path), store, EMPTY).id
    assert len(store.installed()) == 1


def test_a_known_sha256_is_not_computed_again(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(module, "hash_file", refuse)
    digest = sha256(path)
    file = FoundFile(path, path.name, path.stat().st_size, "F32", digest)
    model = adopt(FoundModel("Ollama", "tiny:1b", (file,), "F32"), store, EMPTY)
    assert [file.sha256 for file in model.files] == [digest]


def test_progress_is_told_while_a_file_is_read(store: Store, path: Path) -> None:
    seen: list[Progress] = []
    adopt(found_at(path), store, EMPTY, seen.append)
    assert (seen[-1].phase, seen[-1].done) == ("verify", path.stat().st_size)


def catalog_of(path: Path) -> Catalog:
    file = WeightFile("Tiny-Q8_0.gguf", path.stat().st_size, sha256(path))
    variant = Variant("someone/Tiny-GGUF", "Q8_0", (file,), "abc")
    model = CatalogModel(
        "tiny",
        "Tiny",
        aliases=("tiny:1b",),
        repositories=(Repository(variant.repository),),
        variants=(variant,),
    )
    return Catalog((model,))


def test_a_file_of_the_catalog_is_known_by_its_bytes(store: Store, path: Path) -> None:
    model = adopt(found_at(path), store, catalog_of(path))
    assert (model.id, model.catalog_id, model.quantization) == ("tiny", "tiny", "Q8_0")
    assert (model.repository, model.revision) == ("someone/Tiny-GGUF", "abc")
    assert store.find("tiny", "Q8_0") == model
    # So a pull of the same file finds it.
    assert store.installed_at(store.location("someone/Tiny-GGUF", "Tiny-Q8_0.gguf")) == model


@pytest.mark.parametrize("name", ["tiny:1b", "tiny:1b-q8_0", "Tiny"])
def test_the_other_programs_name_may_be_one_of_the_catalog(
    store: Store, tmp_path: Path, path: Path, name: str
) -> None:
    other = tiny(tmp_path / "blobs" / "sha256-123", seed=2)
    file = FoundFile(other, "tiny-1b.gguf", other.stat().st_size, "F32")
    model = adopt(FoundModel("Ollama", name, (file,), "F32"), store, catalog_of(path))
    assert (model.id, model.repository, model.quantization) == ("tiny", None, "F32")


def test_the_repository_may_be_one_of_the_catalog(store: Store, tmp_path: Path, path: Path) -> None:
    other = tiny(tmp_path / "Tiny-F32.gguf", seed=2)
    file = FoundFile(other, other.name, other.stat().st_size, "F32")
    found = FoundModel("LM Studio", "x", (file,), "F32", "someone/Tiny-GGUF")
    model = adopt(found, store, catalog_of(path))
    assert (model.id, model.quantization) == ("tiny", "F32")


def test_a_blob_has_a_name_for_people(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", _refuse_link)
    blob = tiny(tmp_path / "blobs" / "sha256-123")
    file = FoundFile(blob, "mistral-7b.gguf", blob.stat().st_size, "F32", "0" * 64)
    model = adopt(FoundModel("Ollama", "mistral:7b", (file,), "F32"), store, EMPTY)
    assert (model.id, model.path) == ("mistral-7b", blob)


def _refuse_link(self: Path, target: Path) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_half_a_file_is_refused(store: Store, tmp_path: Path, path: Path) -> None:
    found = found_at(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelFileError, match="1,000 bytes are missing"):
        adopt(found, store, EMPTY)
    assert store.installed() == []
