from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import threading
import time
from collections import namedtuple
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import NoReturn

import pytest

from edge_llama.errors import (
    ChecksumMismatch,
    HubUnavailable,
    NotEnoughSpace,
    WeightsError,
)
from edge_llama.weights.download.download import pull
from edge_llama.weights.hub import transfer
from edge_llama.weights.store.progress import Progress
from edge_llama.weights.store.store import Store
from tests.mock_hub import Kind, MockHub, Place, gguf_bytes
from tests.weights.download.downloads import (
    CONTENT,
    FAST,
    NAME,
    ONCE,
    REPOSITORY,
    VARIANT,
    is_good,
    left_over,
    patience_with,
    staged,
)


@pytest.mark.parametrize(
    ("kind", "on"),
    [
        ("status", "cdn"),
        ("status", "resolve"),
        ("truncate", "cdn"),
        ("stall", "cdn"),
        ("short", "cdn"),
        ("html", "cdn"),
        ("html", "resolve"),
        ("drop", "cdn"),
        ("drop", "resolve"),
        ("drop", "api"),
        ("corrupt", "cdn"),
    ],
)
def test_faults_that_pass(hub: MockHub, store: Store, kind: Kind, on: Place) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault(kind, on=on)
    assert is_good(pull(VARIANT, store, settings=patience_with(kind)))
    assert left_over(store) == []


@pytest.mark.parametrize("kind", ["status", "truncate", "stall", "short", "html", "drop"])
def test_faults_that_stay_are_given_up(hub: MockHub, store: Store, kind: Kind) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault(kind, times=99)
    with pytest.raises(HubUnavailable, match="tried 3 times"):
        pull(VARIANT, store, settings=patience_with(kind))
    assert len(hub.requests_to("cdn")) == 3
    assert store.installed() == []
    assert not (store.root / REPOSITORY).exists()
    assert all(path.stat().st_size > 0 for path in staged(store))


@pytest.mark.parametrize("headers", [{"Retry-After": "1000"}, {"RateLimit": '"api";r=0;t=1000'}])
def test_a_server_may_ask_for_patience(hub: MockHub, store: Store, headers: dict[str, str]) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault("status", status=429, headers=headers, on="resolve")
    began = time.monotonic()
    pull(VARIANT, store, settings=replace(FAST, longest_wait=0.4))
    assert time.monotonic() - began >= 0.4


def test_a_pull_goes_on_where_it_ended(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault("truncate")
    with pytest.raises(HubUnavailable):
        pull(VARIANT, store, settings=ONCE)
    (part,) = staged(store)
    arrived = part.stat().st_size
    assert 0 < arrived <= 150_000
    seen: list[Progress] = []
    assert is_good(pull(VARIANT, store, on_progress=seen.append, settings=ONCE))
    assert hub.requests_to("cdn")[-1].headers["range"] == f"bytes={arrived}-299999"
    assert hub.served <= 300_000 + 70_000
    assert left_over(store) == []


def test_a_server_without_ranges(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault("truncate")
    hub.fault("no range")
    assert is_good(pull(VARIANT, store, settings=FAST))


def test_a_partial_file_that_is_bad_is_fetched_afresh_once(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault("truncate")
    with pytest.raises(HubUnavailable):
        pull(VARIANT, store, settings=ONCE)
    (part,) = staged(store)
    part.write_bytes(bytes(part.stat().st_size))
    assert is_good(pull(VARIANT, store, settings=FAST))
    assert "range" not in hub.requests_to("cdn")[-1].headers


@pytest.mark.parametrize("size", [300_000, 300_001, 900_000])
def test_a_partial_file_that_is_too_long(hub: MockHub, store: Store, size: int) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault("truncate")
    with pytest.raises(HubUnavailable):
        pull(VARIANT, store, settings=ONCE)
    (part,) = staged(store)
    part.write_bytes(bytes(size))
    assert is_good(pull(VARIANT, store, settings=FAST))


def test_partial_files_of_other_revisions_go(hub: MockHub, store: Store) -> None:
    for seed in range(1, 4):
        hub.add(REPOSITORY, {NAME: gguf_bytes(300_000, seed)})
        hub.fault("truncate")
        with pytest.raises(HubUnavailable):
            pull(VARIANT, store, settings=ONCE)
        assert len(staged(store)) == 1
    hub.add(REPOSITORY, {NAME: CONTENT})
    assert is_good(pull(VARIANT, store, settings=ONCE))
    assert left_over(store) == []


def test_damage_that_stays_is_refused_and_removed(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.fault("corrupt", times=99)
    with pytest.raises(ChecksumMismatch, match=hashlib.sha256(CONTENT).hexdigest()):
        pull(VARIANT, store, settings=FAST)
    assert len(hub.requests_to("cdn")) == 2
    assert store.installed() == []
    assert left_over(store) == []
    assert not (store.root / REPOSITORY).exists()


def test_what_a_crash_left_without_a_record_is_taken_over(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    pull(VARIANT, store).record.unlink()
    hub.requests.clear()
    assert is_good(pull(VARIANT, store))
    assert hub.requests_to("resolve") == []


def test_a_damaged_file_without_a_record_is_replaced(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    path = store.location(REPOSITORY, NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(len(CONTENT)))
    assert is_good(pull(VARIANT, store))


def test_a_damaged_record_is_made_anew(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    pull(VARIANT, store).record.write_bytes(b"{")
    hub.served = 0
    assert is_good(pull(VARIANT, store))
    assert hub.served == 0


def test_too_little_space_is_told_before_the_first_byte(
    hub: MockHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPOSITORY, {NAME: bytes(30_000_000)})
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 10_000_000))
    with pytest.raises(NotEnoughSpace) as caught:
        pull(VARIANT, store)
    for part in ("30.0 MB", "10.0 MB are free", "Free 20.0 MB", str(store.root)):
        assert part in str(caught.value)
    assert hub.requests_to("resolve") == []
    assert left_over(store) == []


def test_a_disk_that_fills_up_on_the_way(
    hub: MockHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    written = 0

    def write(file: FileIO, piece: bytes) -> None:
        nonlocal written
        if written > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        written += file.write(piece)

    monkeypatch.setattr(transfer, "_write", write)
    with pytest.raises(NotEnoughSpace, match="is full"):
        pull(VARIANT, store, settings=FAST)
    assert left_over(store) == []
    monkeypatch.undo()


def test_an_interrupt_leaves_what_came_and_no_thread(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    hub.throttle = 300_000
    before = threading.active_count()

    def interrupt(progress: Progress) -> None:
        if progress.phase == "download" and progress.done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(VARIANT, store, on_progress=interrupt)
    ours = [thread for thread in threading.enumerate() if thread.name.endswith("(work)")]
    assert ours == []
    assert threading.active_count() <= before + 4  # the mock hub's own
    (part,) = staged(store)
    assert CONTENT.startswith(part.read_bytes())
    hub.throttle = None
    assert is_good(pull(VARIANT, store))


def test_a_store_that_cannot_be_written(hub: MockHub, tmp_path: Path) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="EDGE_LLAMA_HOME"):
        pull(VARIANT, Store(tmp_path / "file" / "models"))


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_disk_that_is_really_full(hub: MockHub, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=8m tmpfs '{disk}' 2>/dev/null") != 0:
        pytest.skip("mounting is not permitted")
    try:
        content = gguf_bytes(12 << 20)
        hub.add(REPOSITORY, {NAME: content})
        store = Store(disk / "models")
        with pytest.raises(NotEnoughSpace, match="MB are free"):
            pull(VARIANT, store, settings=FAST)
        assert hub.requests_to("resolve") == []
        hub.add(REPOSITORY, {NAME: content[: 6 << 20]})
        hub.throttle = 5e6

        def fill(progress: Progress) -> None:
            (disk / "other").write_bytes(bytes(4 << 20))

        with pytest.raises(NotEnoughSpace, match="is full"):
            pull(VARIANT, store, on_progress=fill, settings=FAST)
        assert left_over(store) == []
        assert store.installed() == []
    finally:
        os.system(f"umount '{disk}'")


def test_a_worker_that_fails_unexpectedly_is_not_hidden(
    hub: MockHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPOSITORY, {NAME: CONTENT})

    def fail(file: FileIO, piece: bytes) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(transfer, "_write", fail)
    with pytest.raises(ZeroDivisionError):
        pull(VARIANT, store, settings=FAST)
