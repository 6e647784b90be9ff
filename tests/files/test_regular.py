from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_llama.files.regular import open_regular, read_regular
from tests.effort import PATIENCE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    return path


def test_a_file_is_read_up_to_its_limit(path: Path) -> None:
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="it has more than 4 B"):
        read_regular(path, 4)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
@pytest.mark.timeout(PATIENCE)
def test_links_are_followed_for_who_wants_it_and_nothing_else_is_opened(path: Path) -> None:
    link, pipe = path.with_name("link"), path.with_name("pipe")
    link.symlink_to(path)
    os.mkfifo(pipe)
    assert read_regular(link, 5, follow=True) == b"12345"
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(link, 5)
    before = list(Path("/dev/fd").iterdir())
    for odd in (pipe, path.parent, Path("/dev/zero")):
        for follow in (False, True):
            with pytest.raises(OSError, match="no regular file"), open_regular(odd, follow=follow):
                pass
    assert len(list(Path("/dev/fd").iterdir())) == len(before)
