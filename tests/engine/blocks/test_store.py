from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_llama.engine.blocks import folder, store
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.engine.blocks.model_hash import FileVersion, hash_file, model_files
from edge_llama.engine.blocks.name import PUBLIC
from edge_llama.engine.blocks.prefix_file import write_prefix
from edge_llama.engine.blocks.reading import LoadedBlock, Reading
from edge_llama.engine.blocks.store import BlockStore
from edge_llama.engine.kv.kv_cache import ByteArray
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.settings.engine import CacheSettings
from tests.effort import PATIENCE
from tests.engine.blocks.making import tokens

SIZE = 8
PROMPT = tokens(30)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def state_of(block: TokenArray) -> ByteArray:
    return np.frombuffer(bytearray(block.tobytes()), np.uint8)


class Opened:
    """A store over a folder."""

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int = 1 << 30,
        layout: str = "f16",
        prefix: Path | None = None,
    ) -> None:
        self.model = root / "model.gguf"
        if not self.model.exists():
            self.model.write_bytes(bytes(5000))
        self.progress = threading.Event()
        self.store = BlockStore(
            CacheSettings(
                folder=str(root / "cache"),
                max_bytes=max_bytes,
                prefix=str(prefix) if prefix else None,
            ),
            model_files(self.model),
            label="model",
            layout=layout,
            block_size=SIZE,
            token_bytes=64,
            on_progress=self.progress.set,
        )

    def ready(self) -> Opened:
        until(lambda: self.store.can_write)
        return self

    def write(self, prompt: TokenArray = PROMPT, domain: str = "") -> None:
        for end in [*range(SIZE, len(prompt), SIZE), len(prompt)]:
            until(lambda: self.store.can_write)
            start = (end - 1) // SIZE * SIZE
            self.store.write(prompt[:end], state_of(prompt[start:end]), domain)
        until(lambda: not self.store.n_writing)

    def read(
        self, prompt: TokenArray = PROMPT, domain: str = "", start: int = 0
    ) -> list[LoadedBlock]:
        reading = self.store.read(prompt, domain, start, None)
        return [] if reading is None else taken(reading)


def taken(reading: Reading) -> list[LoadedBlock]:
    blocks: list[LoadedBlock] = []

    def take() -> bool:
        while (block := reading.take()) is not None:
            blocks.append(block)
        return reading.ended

    until(take)
    return blocks


def ends(blocks: list[LoadedBlock]) -> list[int]:
    return [block.end for block in blocks]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path).ready()
    yield opened
    opened.store.close(PATIENCE)


def test_a_prompt_is_read_by_the_next_run(opened: Opened, tmp_path: Path) -> None:
    opened.write()
    for reader in (opened, Opened(tmp_path)):
        blocks = reader.read()
        assert ends(blocks) == [8, 16, 24, 30]
        for block in blocks:
            expected = state_of(PROMPT[block.start : block.start + block.n_tokens])
            np.testing.assert_array_equal(block.state, expected)


def test_reading_begins_in_the_block_that_holds_the_next_token(opened: Opened) -> None:
    opened.write()
    assert [(block.start, block.end) for block in opened.read(start=17)] == [(16, 24), (24, 30)]
    assert opened.read(start=30) == []


def test_another_end_is_read_up_to_where_it_differs(opened: Opened) -> None:
    opened.write()
    for same in (3, 8, 13, 29):
        prompt = np.concatenate([PROMPT[:same], tokens(30, seed=1)])
        assert max(ends(opened.read(prompt)), default=0) == same
    assert ends(opened.read(PROMPT[:20])) == [8, 16, 20]


def test_domains_are_apart_but_for_the_public_one(opened: Opened) -> None:
    opened.write(PROMPT[:16], "a")
    opened.write(PROMPT, PUBLIC)
    assert ends(opened.read(domain="b")) == [8, 16, 24, 30]
    assert opened.store.has(PROMPT[:8], "b")
    other = tokens(20, seed=3)
    opened.write(other, "a")
    assert opened.read(other, "b") == []
    assert opened.read(other, PUBLIC) == []
    assert not opened.store.has(other, "b")
    assert opened.store.stats.absent >= 2


def test_a_private_end_follows_a_public_beginning(opened: Opened) -> None:
    opened.write(PROMPT[:16], PUBLIC)
    names = opened.store._names(PROMPT[:24], "a")
    assert not opened.store.has(PROMPT[:24], "a")
    opened.store.write(PROMPT[:24], state_of(PROMPT[16:24]), "a")
    until(lambda: opened.store.has(PROMPT[:24], "a"))
    assert len(names) == 4
    assert ends(opened.read(PROMPT[:24], "a")) == [8, 16, 24]
    assert ends(opened.read(PROMPT[:24], "b")) == [8, 16]


def test_another_layout_is_another_model(opened: Opened, tmp_path: Path) -> None:
    opened.write()
    other = Opened(tmp_path, layout="q8_0").ready()
    assert other.read() == []
    opened.model.write_bytes(bytes(4999) + b"x")
    assert Opened(tmp_path).ready().read() == []


def test_what_is_used_in_memory_only_is_used_on_disk_too(opened: Opened, tmp_path: Path) -> None:
    opened.write(PROMPT)
    opened.write(tokens(20, seed=1))
    blocks = BlockFolder(tmp_path / "cache", 1 << 30)
    for entry in blocks.entries():
        os.utime(entry.path, (0, 0))
    # It ends within a block that was written.
    opened.store.use(PROMPT[:27], "")
    until(lambda: sum(entry.used > 0 for entry in blocks.entries()) == 4)
    oldest_first = [entry.n_tokens for entry in blocks.entries() if entry.used]
    assert oldest_first == [6, 8, 8, 8]


def test_a_model_is_hashed_once(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.write()
    hashed: list[FileVersion] = []

    def hash_and_note(file: FileVersion) -> str:
        hashed.append(file)
        return hash_file(file)

    monkeypatch.setattr(store, "hash_file", hash_and_note)
    again = Opened(tmp_path)
    assert not again.store.hashing
    assert ends(again.read())[-1] == 30
    assert hashed == []
    os.utime(again.model, ns=(1, 1))
    assert ends(Opened(tmp_path).ready().read())[-1] == 30
    assert len(hashed) == 1


def test_nothing_is_read_or_written_before_the_model_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_now = threading.Event()
    monkeypatch.setattr(
        store, "hash_file", lambda file: hash_now.wait(PATIENCE) and hash_file(file)
    )
    opened = Opened(tmp_path)
    assert opened.store.hashing
    assert not opened.store.can_write
    assert not opened.store.off
    assert opened.read() == []
    assert opened.store.stats.hashing == 1
    opened.store.close(10 * PATIENCE)
    assert opened.store.hashing, "it waited"
    hash_now.set()
    opened.ready().write()
    assert not opened.store.hashing
    assert ends(opened.read()) == [8, 16, 24, 30]


def test_a_shipped_prefix_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = Opened(tmp_path).ready()
    packed.write(domain=PUBLIC)
    shipped = tmp_path / "prefix.kv"
    write_prefix(BlockFolder(tmp_path / "cache", 1 << 30), shipped)
    shutil.rmtree(tmp_path / "cache")
    hash_now = threading.Event()
    monkeypatch.setattr(
        store, "hash_file", lambda file: hash_now.wait(PATIENCE) and hash_file(file)
    )
    opened = Opened(tmp_path, prefix=shipped)
    reading = opened.store.read(PROMPT, "", 0, None)
    assert reading is not None
    assert not reading.ended
    hash_now.set()
    assert ends(taken(reading)) == [8, 16, 24, 30]


def test_a_fault_without_a_file_is_told_with_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(folder: BlockFolder) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(BlockFolder, "prepare", refuse)
    opened = Opened(tmp_path)
    until(lambda: opened.store.off)
    (told,) = caplog.messages
    assert "None" not in told
    assert str(tmp_path) in told
    assert "No locks available" in told


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"another")])
def test_a_model_that_is_replaced_while_it_is_loaded_has_no_blocks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Path], object],
) -> None:
    hash_now = threading.Event()
    monkeypatch.setattr(
        store, "hash_file", lambda file: hash_now.wait(PATIENCE) and hash_file(file)
    )
    opened = Opened(tmp_path)
    change(opened.model)
    hash_now.set()
    until(lambda: opened.store.off)
    assert opened.read() == []
    assert len(caplog.records) == 1
    assert "cannot be hashed" in caplog.text


def test_a_damaged_block_ends_the_reading(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened.write()
    blocks = BlockFolder(tmp_path / "cache", 1 << 30)
    by_size = sorted(blocks.entries(), key=lambda entry: entry.used)
    damaged = next(e.path for e in by_size if e.path.name.endswith(f"-{30 - 24}.kv"))
    content = bytearray(damaged.read_bytes())
    content[-50] ^= 1
    damaged.write_bytes(content)
    assert ends(opened.read()) == [8, 16, 24]
    assert opened.store.stats.damaged == 1
    assert "is removed" in caplog.text


def test_a_sparse_block_costs_no_memory_and_what_comes_after_is_read(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tokens(20, seed=1)
    opened.write()
    blocks = BlockFolder(tmp_path / "cache", 1 << 30)
    written = [entry.path for entry in blocks.entries()]
    opened.write(other)
    for path in written:
        size = path.stat().st_size
        state = int.from_bytes(path.read_bytes()[48:56], "little")
        with path.open("r+b") as file:
            # As the header says.
            file.truncate(1 << 27)
            file.seek(48)
            file.write((state + (1 << 27) - size).to_bytes(8, "little"))
    assert opened.read() == []
    assert ends(opened.read(other)) == [8, 16, 20]
    assert "it is too large" in caplog.text
    assert not all(path.exists() for path in written)


@pytest.mark.parametrize("error", [MemoryError(), ValueError("odd")])
def test_the_threads_outlive_what_nobody_expected(
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    opened.write()
    other = tokens(20, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "read_block", refuse)
        patch.setattr(folder, "write_block", refuse)
        assert opened.read() == []
        opened.write(other)
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 4
    opened.write(other)
    assert ends(opened.read(other)) == [8, 16, 20]
    assert ends(opened.read()) == [8, 16, 24, 30]


def test_what_nobody_expected_at_the_start_is_told_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: FileVersion) -> str:
        raise MemoryError

    monkeypatch.setattr(store, "hash_file", refuse)
    opened = Opened(tmp_path, prefix=tmp_path / "none")
    reading = opened.store.read(PROMPT, "", 0, None)
    assert reading is None or taken(reading) == []
    until(lambda: opened.store.off)
    assert len(caplog.records) == 1
    assert "not kept on disk" in caplog.text


def test_what_takes_longer_than_computing_is_not_read(opened: Opened) -> None:
    opened.write()
    opened.read()
    reading = opened.store.read(PROMPT, "", 0, 1e-12)
    assert reading is not None
    assert taken(reading) == []
    assert opened.store.stats.slow == 1


def test_few_blocks_are_read_ahead_and_a_cancelled_reading_lets_others_go_on(
    opened: Opened,
) -> None:
    prompt = tokens(20 * SIZE)
    opened.write(prompt)
    reading = opened.store.read(prompt, "", 0, None)
    assert reading is not None
    time.sleep(0.1)
    assert opened.store.stats.blocks_read <= 5
    assert not reading.ended
    reading.cancel()
    assert ends(opened.read(prompt))[-1] == len(prompt)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_full_disk_pauses_writing_with_one_warning(
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    opened.write(PROMPT[:8])
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, "fsync", refuse)
        opened.store.write(PROMPT[:16], state_of(PROMPT[8:16]), "")
        opened.store.write(PROMPT[:24], state_of(PROMPT[16:24]), "")
        until(lambda: not opened.store.n_writing)
    assert opened.store.off
    assert not opened.store.can_write
    assert len(caplog.records) == 1
    assert "not kept on disk for now" in caplog.text
    assert ends(opened.read()) == [8]


def test_a_folder_that_is_removed_is_made_again_after_the_pause(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened.write(PROMPT[:16])
    shutil.rmtree(tmp_path / "cache")
    other = tokens(20, seed=1)
    opened.store.write(other[:8], state_of(other[:8]), "")
    until(lambda: not opened.store.n_writing)
    assert opened.store.off
    assert not (tmp_path / "cache").exists()
    opened.store._paused_until = time.monotonic()
    opened.ready().write(other)
    opened.write(PROMPT)
    assert ends(opened.read(other)) == [8, 16, 20]
    assert ends(opened.read()) == [8, 16, 24, 30]
    assert len(caplog.records) == 1
    assert "for now" in caplog.text


@pytest.mark.parametrize("obstacle", ["file", "link"])
def test_a_folder_that_cannot_be_used_is_a_warning_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, obstacle: str
) -> None:
    if obstacle == "file":
        (tmp_path / "cache").write_text("in the way")
    else:
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "kv").symlink_to("/tmp")
    opened = Opened(tmp_path)
    reading = opened.store.read(PROMPT, "", 0, None)
    assert reading is None or taken(reading) == []
    until(lambda: opened.store.off)
    assert not opened.store.can_write
    assert opened.read() == []
    assert len(caplog.records) == 1
    assert "another folder" in caplog.text
    opened.store.close(1)


def test_closing_waits_for_what_is_being_written(tmp_path: Path) -> None:
    opened = Opened(tmp_path).ready()
    opened.store.write(PROMPT[:8], state_of(PROMPT[:8]), "")
    opened.store.write(PROMPT[:16], state_of(PROMPT[8:16]), "")
    opened.store.close(PATIENCE)
    assert ends(Opened(tmp_path).ready().read(PROMPT[:16])) == [8, 16]


def test_the_memory_of_written_blocks_is_used_again(opened: Opened) -> None:
    state = np.zeros(32, np.uint8)
    opened.store.write(PROMPT[:8], state, "")
    until(lambda: not opened.store.n_writing)
    assert opened.store.spare_buffer() is state
    assert opened.store.spare_buffer() is None


def test_progress_is_told(opened: Opened) -> None:
    assert opened.progress.wait(PATIENCE)  # that it is open
    opened.progress.clear()
    opened.store.write(PROMPT[:8], state_of(PROMPT[:8]), "")
    assert opened.progress.wait(PATIENCE)
    opened.progress.clear()
    assert opened.read(PROMPT[:8])
    assert opened.progress.is_set()
