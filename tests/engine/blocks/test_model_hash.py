from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge_llama.engine.blocks import model_hash
from edge_llama.engine.blocks.fingerprint import FINGERPRINT_BYTES, fingerprint
from edge_llama.engine.blocks.model_hash import KnownHashes, hash_file, model_files
from tests.effort import PATIENCE


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(os.urandom(300_000))
    return path


@pytest.fixture
def known(tmp_path: Path) -> KnownHashes:
    return KnownHashes(tmp_path / "kv" / "models")


def hashes(model: Path) -> tuple[str, ...]:
    return tuple(hash_file(file) for file in model_files(model))


def test_all_bytes_count(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_hash, "CHUNK", 70_000)
    before = hashes(model)
    assert before == (hashlib.sha256(model.read_bytes()).hexdigest(),)
    for place in (0, 123_457, 299_999):
        content = bytearray(model.read_bytes())
        content[place] ^= 1
        model.write_bytes(content)
        assert hashes(model) != before
        before = hashes(model)


def test_all_files_of_a_split_count(tmp_path: Path) -> None:
    first = tmp_path / "big-00001-of-00003.gguf"
    for number in (1, 2, 3):
        (tmp_path / f"big-{number:05}-of-00003.gguf").write_bytes(bytes([number]))
    assert hashes(first) == tuple(hashlib.sha256(bytes([n])).hexdigest() for n in (1, 2, 3))
    (tmp_path / "big-00002-of-00003.gguf").unlink()
    with pytest.raises(FileNotFoundError):
        hashes(first)


def test_a_file_that_is_replaced_meanwhile_is_refused(model: Path, known: KnownHashes) -> None:
    [loaded] = model_files(model)
    known.add(loaded, hash_file(loaded))
    os.utime(model, ns=(1, 1))
    with pytest.raises(OSError, match="changed while"):
        hash_file(loaded)
    assert known.find([loaded]) is None


def test_a_hash_is_known_as_long_as_the_file_is_the_same(model: Path, known: KnownHashes) -> None:
    [file] = model_files(model)
    assert known.find([file]) is None
    known.add(file, "ab")
    assert KnownHashes(known.folder).find([file]) == ("ab",)
    os.utime(model)
    assert known.find(model_files(model)) is None
    os.truncate(model, 5)
    assert known.find(model_files(model)) is None
    other = model.with_name("other.gguf")
    other.write_bytes(b"")
    assert known.find([file, *model_files(other)]) is None


def test_another_file_of_the_same_size_and_time_is_another_one(
    model: Path, known: KnownHashes
) -> None:
    os.utime(model, ns=(1, 1))
    [file] = model_files(model)
    known.add(file, "ab")
    assert known.find(model_files(model)) == ("ab",)
    other = model.with_name("other.gguf")
    other.write_bytes(os.urandom(file.size))
    other.replace(model)
    os.utime(model, ns=(1, 1))
    assert model.stat().st_mtime_ns == file.mtime_ns
    assert known.find(model_files(model)) is None
    assert known.find([file]) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows tells of no change but that of the time")
def test_a_file_that_is_written_in_place_is_another_one(model: Path, known: KnownHashes) -> None:
    os.utime(model, ns=(1, 1))
    [file] = model_files(model)
    known.add(file, "ab")
    time.sleep(0.02)
    model.write_bytes(os.urandom(file.size))
    os.utime(model, ns=(1, 1))
    assert model.stat().st_ino == file.inode
    assert known.find(model_files(model)) is None


def test_what_an_older_version_kept_is_hashed_again_and_kept_instead(
    model: Path, known: KnownHashes, caplog: pytest.LogCaptureFixture
) -> None:
    [file] = model_files(model)
    known.add(file, "ab")
    [record] = known.folder.iterdir()
    old = {"path": file.path, "size": file.size, "mtime_ns": file.mtime_ns}
    record.write_bytes(msgspec.json.encode({"file": old, "sha256": "ab"}))
    assert known.find([file]) is None
    assert not caplog.records
    known.add(file, "cd")
    assert known.find([file]) == ("cd",)


def test_they_are_for_the_user_alone_and_leave_nothing_half(
    model: Path, known: KnownHashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = model_files(model)
    known.add(files[0], "ab")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        known.add(files[0], "cd")
    assert known.find(files) == ("ab",)
    [path] = known.folder.iterdir()
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(known.folder.stat().st_mode) == 0o700


def test_no_hash_is_written_through_a_link(model: Path, known: KnownHashes) -> None:
    elsewhere = model.parent / "elsewhere"
    elsewhere.mkdir()
    known.folder.parent.mkdir()
    known.folder.symlink_to(elsewhere)
    with pytest.raises(PermissionError, match="it is a link"):
        known.add(model_files(model)[0], "ab")
    assert list(elsewhere.iterdir()) == []


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def replace(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def replaced(path: Path) -> None:
        path.unlink()
        make(path)

    return replaced


ODD: dict[str, Callable[[Path], object]] = {
    "empty": write(b""),
    "cut": write(b"{"),
    "no text": write(b"\xff"),
    "text that is none": write(b'{"file":"\xff"}'),
    "half": write(b'{"sha256":"ab"}'),
    "list": write(b"[]"),
    "nested": write(b'{"a":' + b"[" * (model_hash.MOST_RECORD - 10)),
    "deep": write(b'{"a":' + b"[" * 200_000),
    "sparse": lambda path: os.truncate(path, 1 << 33),
    "folder": replace(Path.mkdir),
}
if os.name != "nt":
    ODD["pipe"] = replace(os.mkfifo)
    ODD["device"] = replace(lambda path: path.symlink_to("/dev/zero"))


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("damage", ODD.values(), ids=ODD)
def test_what_cannot_be_read_is_not_known_and_told(
    model: Path,
    known: KnownHashes,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
) -> None:
    files = model_files(model)
    known.add(files[0], "ab")
    damage(next(known.folder.iterdir()))
    assert known.find(files) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "hashed again" in caplog.text


def test_a_fingerprint_is_of_all_files_and_of_the_layout() -> None:
    seen = [
        fingerprint(model, layout)
        for model in (["a"], ["b"], ["a", "b"], ["ab"])
        for layout in ("f16", "q8_0")
    ]
    assert len(set(seen)) == len(seen)
    assert {len(each) for each in seen} == {FINGERPRINT_BYTES}
