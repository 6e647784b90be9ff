from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from edge_llama.errors import ChecksumMismatch, HubUnavailable, WeightsError
from edge_llama.files.hash import hash_file
from edge_llama.weights.download.repair import repair
from edge_llama.weights.hub.retry import TransferSettings
from edge_llama.weights.store.progress import Progress
from edge_llama.weights.store.record import InstalledModel, StoredFile
from edge_llama.weights.store.store import Store
from tests.effort import PATIENCE
from tests.mock_hub import MockHub, gguf_bytes

FAST = TransferSettings(attempts=3, first_wait=0.01, longest_wait=0.05, timeout=PATIENCE)
REPOSITORY = "owner/Llama-GGUF"
NAMES = ("sub/m-Q8_0-00001-of-00002.gguf", "sub/m-Q8_0-00002-of-00002.gguf")
CONTENTS = (gguf_bytes(100_500, 1), gguf_bytes(70_000, 2))
CHUNK = 10_000


@pytest.fixture
def model(hub: MockHub, store: Store) -> InstalledModel:
    """Installed with small chunks."""
    revision = hub.add(REPOSITORY, dict(zip(NAMES, CONTENTS, strict=True)))
    hub.add(REPOSITORY, {"newer.gguf": b""})
    files = []
    for name, content in zip(NAMES, CONTENTS, strict=True):
        path = store.location(REPOSITORY, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found = hash_file(path, chunk_size=CHUNK)
        files.append(StoredFile(path, found.size, found.sha256, found.chunk_sha256, CHUNK))
    return store.add(
        files, quantization="Q8_0", source="hub", repository=REPOSITORY, revision=revision
    )


def damage(path: Path, *places: int) -> None:
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 0xFF
    path.write_bytes(content)


def are_good(model: InstalledModel) -> bool:
    return tuple(file.path.read_bytes() for file in model.files) == CONTENTS


def test_nothing_is_asked_for_when_nothing_is_damaged(
    hub: MockHub, store: Store, model: InstalledModel
) -> None:
    assert [report.state for report in repair(model, store)] == ["ok", "ok"]
    assert hub.requests == []


def test_only_damaged_chunks_are_fetched(hub: MockHub, store: Store, model: InstalledModel) -> None:
    damage(model.files[0].path, 5, 35_000, 39_999, 40_000, 100_400)
    seen: list[Progress] = []
    first, second = repair(model, store, seen.append, settings=FAST)
    assert first.damaged == ((0, 10_000), (30_000, 50_000), (100_000, 100_500))
    assert second.state == "ok"
    assert are_good(model)
    assert hub.served == 30_500
    assert [request.headers["range"] for request in hub.requests_to("cdn")] == [
        "bytes=0-9999",
        "bytes=30000-49999",
        "bytes=100000-100499",
    ]
    assert [report.state for report in store.verify(model)] == ["ok", "ok"]
    assert (seen[-1].phase, seen[-1].done) == ("verify", 170_500)


@pytest.mark.parametrize("size", [0, 12_345, 100_499, 100_501, 250_000])
def test_a_file_of_a_wrong_length(
    hub: MockHub, store: Store, model: InstalledModel, size: int
) -> None:
    path = model.files[0].path
    path.write_bytes((CONTENTS[0] + bytes(200_000))[:size])
    repair(model, store, settings=FAST)
    assert are_good(model)
    assert hub.served <= 100_500


def test_both_parts_are_repaired_through_faults(
    hub: MockHub, store: Store, model: InstalledModel
) -> None:
    damage(model.files[0].path, 50_000)
    damage(model.files[1].path, 69_999)
    hub.fault("truncate")
    hub.fault("no range")
    repair(model, store, settings=FAST)
    assert are_good(model)


def test_a_repair_that_brings_damage_is_told(
    hub: MockHub, store: Store, model: InstalledModel
) -> None:
    damage(model.files[0].path, 50_000)
    hub.fault("corrupt", times=9)
    with pytest.raises(ChecksumMismatch, match="still damaged"):
        repair(model, store, settings=FAST)


def test_without_a_network_the_damage_stays_known(
    hub: MockHub, store: Store, model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(model.files[0].path, 50_000)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubUnavailable, match="HF_HUB_OFFLINE"):
        repair(model, store)
    assert store.verify(model)[0].damaged == ((50_000, 60_000),)


def test_what_cannot_be_repaired(hub: MockHub, store: Store, model: InstalledModel) -> None:
    model.files[0].path.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        repair(model, store)
    imported = replace(model, source="import: /elsewhere")
    with pytest.raises(WeightsError, match="did not come from the hub"):
        repair(imported, store)
    assert hub.requests == []


def test_a_hub_with_other_files_repairs_nothing(
    hub: MockHub, store: Store, model: InstalledModel
) -> None:
    damage(model.files[0].path, 50_000)
    wrong = tuple(
        replace(file, sha256=hashlib.sha256(b"other").hexdigest()) for file in model.files
    )
    before = model.files[0].path.read_bytes()
    with pytest.raises(ChecksumMismatch, match="another"):
        repair(replace(model, files=wrong), store)
    assert model.files[0].path.read_bytes() == before
