from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_llama.engine.blocks.block_file import Block
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.engine.blocks.name import root_name
from edge_llama.engine.kv.prefix_cache import TokenArray
from tests.effort import PATIENCE
from tests.engine.blocks.making import BLOCK_SIZE, FINGERPRINT, ROOT, block, tokens

PLENTY = 1 << 30


def opened(root: Path, max_bytes: int = PLENTY, fingerprint: bytes = FINGERPRINT) -> BlockFolder:
    folder = BlockFolder(root, max_bytes, fingerprint)
    folder.prepare()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> BlockFolder:
    return opened(tmp_path)


def found(folder: BlockFolder, prompt: TokenArray) -> tuple[Block | None, int]:
    match = folder.find(ROOT, prompt, BLOCK_SIZE)
    if match is None:
        return None, 0
    child, length = match
    return folder.read(child), length


def files(folder: BlockFolder) -> list[Path]:
    return [entry.path for entry in folder.entries()]


def test_a_block_is_found_by_its_tokens(folder: BlockFolder) -> None:
    folder.add(block())
    loaded, length = found(folder, block().tokens)
    assert loaded is not None
    assert length == BLOCK_SIZE
    np.testing.assert_array_equal(loaded.state, block().state)


def test_the_beginning_of_a_block_is_found(folder: BlockFolder) -> None:
    folder.add(block(seed=1))
    folder.add(block(seed=2))
    prompt = np.concatenate([block(seed=1).tokens[:70], tokens(100, seed=9)])
    loaded, length = found(folder, prompt)
    assert loaded is not None
    assert loaded.name == block(seed=1).name
    assert length == 70


def test_a_block_is_written_once(folder: BlockFolder) -> None:
    assert folder.add(block()) > 1000
    assert folder.add(block()) == 0
    assert len(files(folder)) == 1


def test_a_longer_block_replaces_what_it_begins_with(folder: BlockFolder) -> None:
    long, other = block(100), block(60, seed=5)
    for n in (20, 50):
        folder.add(Block(FINGERPRINT, ROOT, long.tokens[:n], long.state))
    folder.add(other)
    folder.add(long)
    assert len(files(folder)) == 2
    assert folder.has(ROOT, other.name)
    assert folder.has(ROOT, long.name)


def test_files_are_for_the_user_alone(folder: BlockFolder) -> None:
    folder.add(block())
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(folder)] == [0o600]


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "kv").mkdir(mode=0o777)
    folder = opened(tmp_path)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_link_instead_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "kv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        opened(tmp_path)


@pytest.mark.parametrize("which", [".", "parts"])
def test_nothing_is_written_or_removed_through_a_link_that_comes_later(
    folder: BlockFolder, tmp_path: Path, which: str
) -> None:
    folder.add(block())
    own = folder.path / which
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    with pytest.raises(PermissionError, match="it is a link"):
        folder.add(block(seed=1))
    with pytest.raises(PermissionError, match="it is a link"):
        folder.prune(0)
    with pytest.raises(PermissionError, match="it is a link"):
        folder.prepare()
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    size = BlockFolder(tmp_path / "a", PLENTY, FINGERPRINT)
    size.prepare()
    one = size.add(block())
    folder = opened(tmp_path / "b", max_bytes=3 * one)
    blocks = [block(seed=seed) for seed in range(4)]
    for each in blocks[:3]:
        folder.add(each)
        time.sleep(0.002)
    folder.touch([ROOT, blocks[0].name])
    folder.add(blocks[3])
    kept = [folder.has(ROOT, each.name) for each in blocks]
    assert kept[0]
    assert not kept[1]
    assert kept[3]
    assert sum(entry.size for entry in folder.entries()) <= 3 * one


def test_parents_outlive_children(folder: BlockFolder) -> None:
    first = block(seed=1)
    second = block(seed=2, parent=first.name)
    folder.add(first)
    folder.add(second)
    folder.touch([ROOT, first.name, second.name])
    assert second.name.hex() in files(folder)[0].name


def test_what_was_used_just_now_is_not_touched_again(folder: BlockFolder) -> None:
    first = block(seed=1)
    second = block(seed=2, parent=first.name)
    for each in (first, second):
        folder.add(each)
    chain = [ROOT, first.name, second.name]
    folder.touch(chain)
    before = folder.entries()
    folder.touch(chain, unless_within=60)
    assert folder.entries() == before
    for path in files(folder):
        os.utime(path, (0, time.time() - 61))
    folder.touch(chain, unless_within=60)
    assert min(entry.used for entry in folder.entries()) > max(entry.used for entry in before)


def test_what_is_larger_than_all_room_is_left_out(tmp_path: Path) -> None:
    folder = opened(tmp_path, max_bytes=500)
    assert folder.add(block()) == 0
    assert files(folder) == []


def test_two_processes_see_what_the_other_wrote(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.add(block(seed=1))
    two.add(block(seed=2))
    for folder in (one, two):
        for seed in (1, 2):
            assert found(folder, tokens(BLOCK_SIZE, seed))[0] is not None
    assert two.prune(0) > 0
    assert found(one, tokens(BLOCK_SIZE, 1)) == (None, 0)


def test_two_processes_keep_within_the_size_together(tmp_path: Path) -> None:
    one, two = opened(tmp_path, 10_000), opened(tmp_path, 10_000)
    for seed in range(20):
        (one, two)[seed % 2].add(block(seed=seed))
        assert sum(entry.size for entry in one.entries()) <= 10_000


def test_another_models_blocks_are_not_seen_but_count(tmp_path: Path) -> None:
    one, other = opened(tmp_path, 4_000), opened(tmp_path, 4_000, fingerprint=bytes(16))
    parent = root_name(bytes(16), "")
    foreign = block(seed=1, parent=parent, fingerprint=bytes(16))
    other.add(foreign)
    assert one.find(parent, foreign.tokens, BLOCK_SIZE) is None
    one.add(block(seed=2))
    one.add(block(seed=3))
    assert sum(entry.size for entry in one.entries()) <= 4_000
    assert other.find(parent, foreign.tokens, BLOCK_SIZE) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(bytes(200) + path.read_bytes()[200:]),
        lambda path: path.write_bytes(path.read_bytes()[:-40] + b"x" + path.read_bytes()[-39:]),
        lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
        lambda path: (path.unlink(), subprocess.run(["mkfifo", str(path)], check=True)),
    ],
    ids=["emptied", "truncated", "header", "flipped", "link", "pipe"],
)
def test_damage_is_a_miss_logged_once_and_the_file_goes(
    folder: BlockFolder, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(damage)
    folder.add(block())
    damage(files(folder)[0])
    again = opened(folder.path.parent)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert found(again, block().tokens)[0] is None
    assert len(caplog.records) == 1
    assert "is removed" in caplog.text
    assert not any(os.path.lexists(path) for path in files(again))
    assert again.add(block()) > 0
    assert found(again, block().tokens)[0] is not None


def test_what_another_process_writes_instead_of_a_damaged_block_is_found(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.add(block())
    files(one)[0].write_bytes(b"")
    assert found(one, block().tokens)[0] is None
    two.add(block())
    assert found(one, block().tokens)[0] is not None


def test_a_folder_in_the_place_of_a_block_is_logged_once(
    folder: BlockFolder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.add(block())
    [path] = files(folder)
    path.unlink()
    path.mkdir()
    again = opened(folder.path.parent)
    for _ in range(3):
        assert found(again, block().tokens)[0] is None
    assert len(caplog.records) == 1
    with pytest.raises(OSError, match="directory"):
        again.add(block())


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes")
def test_a_file_that_may_not_be_read_is_a_miss(
    folder: BlockFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.add(block())
    bad = files(folder)[0]
    bad.chmod(0)
    opened = os.open

    def refuse(path: Path, *arguments: int) -> int:
        """Root may read everything."""
        if path == bad:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    for _ in range(3):
        assert found(folder, block().tokens)[0] is None
    assert len(caplog.records) == 1
    assert "is removed" in caplog.text
    assert files(folder) == []


FIELDS = {"magic": 0, "version": 7, "fingerprint": 8, "parent": 24}
FIELDS |= {"n_tokens": 40, "n_tokens_high": 43, "label_size": 44, "label_size_high": 47}
FIELDS |= {"state_size": 48, "state_size_high": 55, "tokens": 56}
FIELDS |= {"label": 56 + 4 * BLOCK_SIZE, "state": 63 + 4 * BLOCK_SIZE, "digest": -1}
"""Where they are in the file of `block()`."""


@pytest.mark.parametrize("place", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("prompt_tokens", [BLOCK_SIZE, BLOCK_SIZE - 1])
def test_a_flip_in_any_field_is_a_miss_logged_once(
    folder: BlockFolder, place: int, prompt_tokens: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder.add(block())
    [path] = files(folder)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x80
    path.write_bytes(content)
    again = opened(folder.path.parent)
    prompt = block().tokens[:prompt_tokens]
    for _ in range(3):
        assert found(again, prompt)[0] is None
    if files(again):
        # Its first token is another one now: nobody reads it who asks for less than all of it.
        assert (FIELDS["tokens"], BLOCK_SIZE - 1) == (place, prompt_tokens)
    else:
        assert len(caplog.records) == again.n_damaged == 1
        assert "is removed" in caplog.text


@pytest.mark.parametrize("foreign", [bytes(16), FINGERPRINT[:4] + bytes(12)])
def test_a_block_of_another_model_under_this_ones_name_is_a_miss(
    folder: BlockFolder, foreign: bytes
) -> None:
    folder.add(block())
    [path] = files(folder)
    other = opened(folder.path.parent / "other", fingerprint=foreign)
    other.add(block(fingerprint=foreign))
    files(other)[0].replace(path)
    assert found(folder, block().tokens)[0] is None
    assert files(folder) == []


def test_no_more_open_files_costs_no_block(
    folder: BlockFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.add(block())

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert found(folder, block().tokens)[0] is None
    assert len(files(folder)) == 1


@pytest.mark.parametrize(
    "act",
    [BlockFolder.prepare, lambda folder: folder.add(block()), lambda folder: folder.prune(PLENTY)],
    ids=["start", "write", "prune"],
)
def test_what_a_kill_left_half_written_goes_at_once(
    folder: BlockFolder, act: Callable[[BlockFolder], object]
) -> None:
    part = folder.path / "parts" / "0123.456.part"
    part.write_bytes(b"half")
    part.with_name("folder.part").mkdir()
    act(folder)
    assert not part.exists()


def test_nothing_is_removed_that_another_process_is_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened(tmp_path)
    started, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def wait(descriptor: int) -> None:
        started.set()
        assert go_on.wait(PATIENCE)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", wait)
    with ThreadPoolExecutor() as threads:
        writing = threads.submit(one.add, block())
        assert started.wait(PATIENCE)
        other = threads.submit(opened, tmp_path)
        assert len(files(one)) == 1
        go_on.set()
        assert writing.result() > 0
        assert found(other.result(), block().tokens)[0] is not None


def test_a_failed_write_leaves_nothing(
    folder: BlockFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            folder.add(block())
    assert folder.entries() == []
    assert folder.add(block()) > 0


def test_prune_of_no_folder_frees_nothing(tmp_path: Path) -> None:
    assert BlockFolder(tmp_path / "none", PLENTY).prune(0) == 0
    assert not (tmp_path / "none").exists()


def test_the_limit_holds_while_a_thread_reads_the_folder_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = opened(tmp_path, 10_000)
    make_room = folder._make_room

    def make_room_and_read(size: int) -> bool:
        fits = make_room(size)
        os.utime(folder.path)
        folder.refresh()
        return fits

    monkeypatch.setattr(folder, "_make_room", make_room_and_read)
    for seed in range(40):
        assert folder.add(block(seed=seed))
        assert sum(entry.size for entry in folder.entries()) <= 10_000
