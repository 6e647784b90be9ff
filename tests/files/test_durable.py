from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_llama.files.durable import write_whole, writing_whole


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
