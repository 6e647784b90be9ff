from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from edge_llama.errors import (
    ChecksumMismatch,
    GatedRepository,
    HubUnavailable,
    UnknownModel,
    UnsafeFileName,
    WeightsError,
)
from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.download.download import pull
from edge_llama.weights.hub.hub import Hub
from edge_llama.weights.store.progress import Progress
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.effort import PATIENCE
from tests.mock_hub import MockHub, gguf_bytes
from tests.weights.download.downloads import (
    CONTENT,
    FAST,
    NAME,
    REPOSITORY,
    VARIANT,
    is_good,
    left_over,
)


def test_a_pull_installs_and_leaves_nothing_else(hub: MockHub, store: Store) -> None:
    commit = hub.add(REPOSITORY, {NAME: CONTENT})
    model = pull(VARIANT, store)
    assert is_good(model)
    assert model.path == store.root / REPOSITORY / NAME
    assert (model.id, model.repository, model.revision) == ("model-Q4_K_M", REPOSITORY, commit)
    assert model.files[0].sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (model.files[0].linked, model.source) == ("copy", "hub")
    assert left_over(store) == []
    assert not model.path.is_symlink()
    assert store.installed() == [model]
    if os.name == "posix":
        umask = os.umask(0)
        os.umask(umask)
        assert model.path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_what_is_installed_needs_no_connection(
    hub: MockHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    (variant,) = Hub().variants(REPOSITORY)
    model = pull(variant, store)
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pull(variant, store) == pull(VARIANT, Store(store.root)) == model
    assert hub.requests == []


def test_offline_names_what_is_installed(
    hub: MockHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    pull(VARIANT, store)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    other = replace(VARIANT, files=(WeightFile("other.gguf"),))
    with pytest.raises(HubUnavailable, match=r"without a network: demo, model-Q4_K_M\."):
        pull(other, store)
    store.installed()[0].path.unlink()
    with pytest.raises(HubUnavailable, match=r"without a network: demo\."):
        pull(other, store)


def test_a_new_version_replaces_the_old_one(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: gguf_bytes(300_000, seed=9)})
    pull(Hub().variants(REPOSITORY)[0], store)
    hub.add(REPOSITORY, {NAME: CONTENT})
    model = pull(Hub().variants(REPOSITORY)[0], store)
    assert is_good(model)
    assert store.installed() == [model]


def test_a_split_model_comes_in_parallel(hub: MockHub, store: Store) -> None:
    names = [f"Q8_0/model-Q8_0-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    hub.add(REPOSITORY, {name: gguf_bytes(200_000, n) for n, name in enumerate(names)})
    hub.throttle = 400_000
    seen: list[Progress] = []
    model = pull(Hub().variants(REPOSITORY)[0], store, on_progress=seen.append, settings=FAST)
    assert hub.most_at_once == 3
    assert [file.path.relative_to(store.root / REPOSITORY).as_posix() for file in model.files] == (
        names
    )
    assert {progress.total for progress in seen} == {600_000}
    done = [progress.done for progress in seen if progress.phase == "download"]
    assert done == sorted(done)
    assert any(0 < count < 600_000 for count in done)
    assert any(progress.rate > 0 and progress.eta is not None for progress in seen)
    assert (seen[-1].phase, seen[-1].done) == ("verify", 600_000)


def test_the_catalog_must_agree_before_the_first_byte(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    with pytest.raises(ChecksumMismatch):
        pull(replace(VARIANT, files=(WeightFile(NAME, sha256="0" * 64),)), store)
    assert hub.requests_to("resolve") == []


def test_files_that_git_keeps_itself(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT}, lfs=False)
    hub.redirects = False
    assert is_good(pull(VARIANT, store))


def test_something_else_than_a_model_is_refused(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: b"GGUF" + bytes(1000)})
    with pytest.raises(WeightsError, match="no model that can be run"):
        pull(VARIANT, store)
    hub.add(REPOSITORY, {NAME: b"#!/bin/sh" + bytes(1000)})
    with pytest.raises(HubUnavailable, match="something else than a GGUF"):
        pull(VARIANT, store, settings=FAST)
    assert left_over(store) == []
    assert store.installed() == []


def test_a_gated_repository(hub: MockHub, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT}, gated=True)
    with pytest.raises(GatedRepository) as caught:
        pull(VARIANT, store)
    for part in (f"{hub.url}/{REPOSITORY}", "HF_TOKEN", "hf auth login", "Accept"):
        assert part in str(caught.value)
    assert len(hub.requests_to("resolve")) == 1
    assert left_over(store) == []
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert is_good(pull(VARIANT, store))


def test_the_token_is_sent_to_no_other_host(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault("truncate")
    hub.fault("status", status=403)
    pull(VARIANT, store, settings=FAST)
    assert len(hub.requests_to("cdn")) == 3
    assert not any("authorization" in request.headers for request in hub.requests_to("cdn"))
    assert not any("hf_of_the_user" in str(request) for request in hub.requests_to("cdn"))
    assert all("authorization" in request.headers for request in hub.requests_to("resolve"))
    assert all("authorization" in request.headers for request in hub.requests_to("api"))


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        (REPOSITORY, "../../../.bashrc"),
        (REPOSITORY, "C:\\x"),
        (REPOSITORY, "a/..\\..\\b"),
        (REPOSITORY, "/etc/x.gguf"),
        (REPOSITORY, "x\0.gguf"),
        (REPOSITORY, "NUL.gguf"),
        (REPOSITORY, "x.gguf."),
        ("../up", NAME),
        (".incoming/x", NAME),
    ],
)
def test_hostile_names_are_never_asked_for(
    hub: MockHub, store: Store, repository: str, name: str
) -> None:
    hub.add(repository, {name: CONTENT})
    with pytest.raises(UnsafeFileName):
        pull(Variant(repository, "Q4_K_M", (WeightFile(name),)), store)
    assert hub.requests == []
    assert list(store.root.parent.iterdir()) == []


def test_a_file_that_is_not_there(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {"other.gguf": CONTENT})
    with pytest.raises(UnknownModel, match=NAME):
        pull(VARIANT, store)


def test_links_in_the_store_are_replaced_not_followed(
    hub: MockHub, store: Store, tmp_path: Path
) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    path = store.location(REPOSITORY, NAME)
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    incoming = store.incoming(path)
    incoming.mkdir(parents=True)
    identity = hashlib.sha256(hashlib.sha256(CONTENT).hexdigest().encode()).hexdigest()[:12]
    (incoming / f"{NAME}.{identity}.part").symlink_to(outside)
    assert is_good(pull(VARIANT, store))
    assert not path.is_symlink()
    assert outside.read_bytes() == b"precious"


def test_two_pulls_make_one_download(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.throttle = 20_000
    phases: list[set[str]] = [set(), set()]
    models: list[InstalledModel] = []

    def run(index: int) -> None:
        def note(progress: Progress) -> None:
            phases[index].add(progress.phase)
            if progress.phase == "wait":
                hub.throttle = None

        models.append(pull(VARIANT, Store(store.root), on_progress=note))

    threads = [threading.Thread(target=run, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert models[0] == models[1]
    assert is_good(models[0])
    assert len(hub.requests_to("resolve")) == 1
    assert {"wait"} in phases


def test_a_listing_without_sizes_asks_the_file_itself(hub: MockHub, store: Store) -> None:
    hub.tells_sizes = False
    hub.add(REPOSITORY, {NAME: CONTENT})
    (variant,) = Hub().variants(REPOSITORY)
    assert variant.size is None
    assert is_good(pull(variant, store))
