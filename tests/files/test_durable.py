from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge_llama.files import durable
from edge_llama.files.durable import sync_file, write_whole, writing_whole
from edge_llama.files.own_folder import make_own_folder


def test_a_file_is_replaced_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with writing_whole(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path, part = tmp_path / "file", tmp_path / "elsewhere"
    write_whole(path, b"old")
    with pytest.raises(TypeError), writing_whole(path, part=part) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.with_name("file.part").write_bytes(b"longer than what is written")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes and links")
def test_private_files_are_for_their_owner_and_not_written_through_links(tmp_path: Path) -> None:
    path, part, victim = tmp_path / "file", tmp_path / "part", tmp_path / "victim"
    with writing_whole(path, private=True):
        pass
    assert path.stat().st_mode & 0o777 == 0o600
    victim.write_bytes(b"precious")
    part.symlink_to(victim)
    with (
        pytest.raises(OSError, match="symbolic links"),
        writing_whole(path, part=part, private=True),
    ):
        pass
    assert victim.read_bytes() == b"precious"


def no_operation(*args: object, **kwargs: object) -> None:
    raise OSError(errno.EINVAL, "Invalid argument")


@pytest.fixture
def log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    """The log of a process that told nothing yet."""
    monkeypatch.setattr(durable, "_told", set())
    return caplog


def test_a_file_system_without_fsync_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "fsync", no_operation)
    for content in (b"one", b"two"):
        write_whole(tmp_path / "file", content)
    sync_file(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"two"
    (told,) = log.messages
    assert "has no fsync (Invalid argument)" in told
    assert "None" not in told


def test_a_disk_that_fails_is_no_file_system_without_an_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        write_whole(tmp_path / "file", b"one")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_modes_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refuse)
    for _ in range(2):
        make_own_folder(tmp_path / "own")
    (told,) = log.messages
    assert "has no modes" in told


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (NotImplementedError("FileSystem does not appear to support flock"), errno.ENOLCK),
        (OSError(errno.ENOLCK, "No locks available"), errno.ENOLCK),
    ],
)
def test_a_file_that_cannot_be_locked_is_named(error: Exception, number: int) -> None:
    with pytest.raises(OSError, match="locks") as raised, durable.naming_lock("/share/lock"):
        raise error
    assert (raised.value.errno, raised.value.filename) == (number, "/share/lock")
