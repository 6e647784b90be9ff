from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from edge_llama.errors import UnsafeFileName, WeightsError
from edge_llama.files.hash import hash_file
from edge_llama.weights.store.progress import Progress
from edge_llama.weights.store.record import InstalledModel, Linked, StoredFile
from edge_llama.weights.store.store import Store, default_store


def put(
    store: Store,
    repository: str = "own/repo",
    files: tuple[str, ...] = ("model-Q4_K_M.gguf",),
    *,
    quantization: str = "Q4_K_M",
    catalog_id: str | None = None,
    content: bytes = b"weights",
) -> InstalledModel:
    stored = []
    for file in files:
        path = store.location(repository, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found = hash_file(path)
        stored.append(StoredFile(path, found.size, found.sha256, found.chunk_sha256))
    return store.add(
        stored,
        quantization=quantization,
        source="hub",
        catalog_id=catalog_id,
        repository=repository,
        revision="c0ffee",
    )


def refer(store: Store, path: Path, linked: Linked = "reference") -> InstalledModel:
    found = hash_file(path)
    file = StoredFile(path, found.size, found.sha256, found.chunk_sha256, linked=linked)
    return store.add([file], quantization="Q8_0", source=f"import: {path}")


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".locks" not in path.parts
    }


def test_a_new_store_is_empty_and_makes_no_folder(store: Store) -> None:
    assert store.installed() == []
    assert store.find("anything") is None
    assert not store.root.exists()


def test_what_is_added_is_listed_as_it_was(store: Store) -> None:
    parts = ("sub/m-Q8_0-00001-of-00002.gguf", "sub/m-Q8_0-00002-of-00002.gguf")
    model = put(store, files=parts, quantization="Q8_0")
    assert store.installed() == [model]
    assert Store(store.root).installed() == [model]
    assert model.id == "m-Q8_0"
    assert model.path == store.root / "own/repo" / parts[0]
    assert model.size == 14
    assert model.is_complete
    assert model.installed_at.tzinfo is not None
    assert files_below(store.root) == {f"own/repo/{part}" for part in parts} | {
        f"own/repo/{parts[0]}.json"
    }


def test_a_store_can_be_moved(store: Store) -> None:
    put(store)
    moved = store.root.rename(store.root.with_name("elsewhere"))
    (model,) = Store(moved).installed()
    assert model.path == moved / "own/repo/model-Q4_K_M.gguf"
    assert model.is_complete


def test_ids_are_as_short_as_tells_models_apart(store: Store) -> None:
    assert put(store, catalog_id="llama").id == "llama"
    put(store, files=("b.gguf",), quantization="Q8_0", catalog_id="llama")
    assert [model.id for model in store.installed()] == ["llama:Q4_K_M", "llama:Q8_0"]
    put(store, "other/repo", quantization="Q8_0", catalog_id="llama")
    assert [model.id for model in store.installed()] == [
        "llama:Q4_K_M",
        "other/repo:Q8_0",
        "own/repo:Q8_0",
    ]
    put(store, "other/repo", ("c.gguf",), quantization="Q8_0", catalog_id="llama")
    assert [model.id for model in store.installed()] == [
        "llama:Q4_K_M",
        "other/repo/c",
        "other/repo/model-Q4_K_M",
        "own/repo:Q8_0",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "llama",
        "LLAMA",
        "llama:Q4_K_M",
        "llama:q4_k_m",
        "own/repo",
        "Own/Repo:Q4_K_M",
        "own/repo/model-Q4_K_M.gguf",
        "model-Q4_K_M.gguf",
        "model-Q4_K_M",
    ],
)
def test_a_model_has_many_names(store: Store, name: str) -> None:
    model = put(store, catalog_id="llama")
    assert store.find(name) == model
    assert store.find(name, "q4_k_m") == model
    assert store.find(name, "Q8_0") is None


@pytest.mark.parametrize("name", ["", "lama", "own", "llama:Q8_0", "gguf", "own/repo/"])
def test_other_names_mean_nothing(store: Store, name: str) -> None:
    put(store, catalog_id="llama")
    assert store.find(name) is None


def test_a_name_keeps_its_meaning_when_more_is_installed(store: Store) -> None:
    first = put(store, catalog_id="llama", quantization="Q8_0", files=("z.gguf",))
    put(store, catalog_id="llama", quantization="F16", files=("a.gguf",))
    found = store.find("llama")
    assert found is not None
    assert found.path == first.path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"version": "1"}',
        b'{"version": 1}',
        b'{"version": 2, "anything": true}',
    ],
)
def test_a_damaged_record_is_left_out_with_one_warning(
    store: Store, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = put(store), put(store, files=("bad.gguf",))
    bad.record.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert [model.path for model in store.installed()] == [good.path]
        store.installed()
    assert len(caplog.messages) == 1
    assert "bad.gguf" in caplog.messages[0]


@pytest.mark.parametrize("path", ["../../outside", "/etc/passwd", "own/../../x", "C:\\x"])
def test_a_record_cannot_name_files_outside(store: Store, path: str) -> None:
    model = put(store)
    record = json.loads(model.record.read_bytes())
    record["files"][0]["path"] = path
    model.record.write_text(json.dumps(record))
    assert store.installed() == []


def test_removing_leaves_nothing(store: Store) -> None:
    keep = put(store, "own/keep")
    model = put(store, files=("a/m-00001-of-00002.gguf", "a/m-00002-of-00002.gguf"))
    assert store.remove(model) == 14
    assert store.installed() == [keep]
    assert not (store.root / "own/repo").exists()
    assert store.remove(model) == 0


def test_a_reference_loses_only_its_record(store: Store, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.gguf"
    theirs.write_bytes(b"weights")
    model = refer(store, theirs)
    assert store.installed() == [model]
    assert (model.id, model.path) == ("theirs", theirs)
    assert store.remove(model) == 0
    assert theirs.read_bytes() == b"weights"
    assert store.installed() == []


def test_of_a_hard_link_only_our_name_goes(store: Store, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.gguf"
    theirs.write_bytes(b"weights")
    ours = store.location("imported", "theirs.gguf")
    ours.parent.mkdir(parents=True)
    ours.hardlink_to(theirs)
    model = refer(store, ours, "hard link")
    assert store.remove(model) == 0
    assert theirs.read_bytes() == b"weights"
    assert not ours.exists()


def test_a_file_that_is_gone_is_not_complete(store: Store) -> None:
    model = put(store)
    model.path.unlink()
    assert [known.is_complete for known in store.installed()] == [False]
    assert store.remove(model) == 0
    assert store.installed() == []


def test_a_model_that_is_being_changed_is_not_removed(store: Store) -> None:
    model = put(store)
    with store.lock(model.path), pytest.raises(WeightsError, match="changing model-Q4_K_M"):
        Store(store.root).remove(model)
    assert model.path.exists()


def test_verify_reads_everything(store: Store) -> None:
    model = put(store, files=("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"))
    seen: list[Progress] = []
    assert [report.state for report in store.verify(model, seen.append)] == ["ok", "ok"]
    assert (seen[-1].phase, seen[-1].done, seen[-1].total) == ("verify", 14, 14)
    model.files[1].path.write_bytes(b"Weights")
    model.files[0].path.unlink()
    assert [report.state for report in store.verify(model)] == ["missing", "damaged"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_links_do_not_lead_out_of_the_store(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    store.root.mkdir()
    (store.root / "own").symlink_to(outside)
    (store.root / ".incoming").symlink_to(outside)
    with pytest.raises(UnsafeFileName, match="symbolic link"):
        store.location("own/repo", "model.gguf")
    with pytest.raises(UnsafeFileName, match="symbolic link"):
        store.incoming(store.location("other/repo", "model.gguf"))


def test_removing_does_not_follow_a_link_out(store: Store, tmp_path: Path) -> None:
    model = put(store)
    outside = store.root.joinpath("own").rename(tmp_path / "outside")
    store.root.joinpath("own").symlink_to(outside)
    with pytest.raises(UnsafeFileName, match="symbolic link"):
        store.remove(model)
    assert (outside / "repo/model-Q4_K_M.gguf").exists()


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "disk")
    model = put(Store(tmp_path / "models"))
    assert model.is_complete


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"a file is where the folder should be")
    store = Store(tmp_path / "models")
    assert store.installed() == []
    file = StoredFile(tmp_path / "x.gguf", 1, "0" * 64, linked="reference")
    with pytest.raises(WeightsError, match="EDGE_LLAMA_HOME"):
        store.add([file], quantization="Q8_0", source="import")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_read_only_store_can_be_listed(store: Store) -> None:
    model = put(store)
    model.record.parent.chmod(0o555)
    try:
        assert store.installed() == [model]
        with pytest.raises(WeightsError, match="cannot be changed"):
            store.remove(model)
    finally:
        model.record.parent.chmod(0o755)


def test_the_default_store_is_below_the_home_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_LLAMA_HOME", str(tmp_path / "home"))
    assert default_store().root == tmp_path / "home" / "models"
    assert not (tmp_path / "home").exists()
    monkeypatch.delenv("EDGE_LLAMA_HOME")
    assert default_store().root.name == "models"
    assert "edge-llama" in default_store().root.parts
