from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest

from edge_llama.engine.blocks import block_file
from edge_llama.engine.blocks.block_file import (
    MAX_SIZE,
    BadBlock,
    parse_block,
    read_block,
    read_header,
    write_block,
)
from tests.engine.blocks.making import FINGERPRINT, block

BLOCK = block(100)


def content() -> bytes:
    file = io.BytesIO()
    assert write_block(file, BLOCK) == len(file.getvalue()) == BLOCK.file_size
    return file.getvalue()


def parse(data: bytes) -> None:
    parse_block(np.frombuffer(data, np.uint8), BLOCK.name, FINGERPRINT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "block.kv"
    path.write_bytes(content())
    return path


def test_a_block_is_read_as_it_was_written(path: Path) -> None:
    found = read_block(path, BLOCK.name, FINGERPRINT)
    np.testing.assert_array_equal(found.tokens, BLOCK.tokens)
    np.testing.assert_array_equal(found.state, BLOCK.state)
    assert (found.parent, found.name) == (BLOCK.parent, BLOCK.name)


def test_the_header_is_read_alone(path: Path) -> None:
    header = read_header(path)
    np.testing.assert_array_equal(header.tokens, BLOCK.tokens)
    assert (header.label, header.fingerprint) == ("a model", FINGERPRINT)


def test_every_flipped_bit_is_seen() -> None:
    good = content()
    parse(good)
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        with pytest.raises(BadBlock):
            parse(bytes(bad))


def test_every_truncation_is_seen() -> None:
    good = content()
    for size in range(len(good)):
        with pytest.raises(BadBlock):
            parse(good[:size])
    with pytest.raises(BadBlock, match="cut off"):
        parse(good + b"\0")


def test_another_model_is_seen(path: Path) -> None:
    with pytest.raises(BadBlock, match="another model"):
        read_block(path, BLOCK.name, bytes(16))


def test_another_block_under_that_name_is_seen(path: Path) -> None:
    with pytest.raises(BadBlock, match="other tokens"):
        read_block(path, block(100, seed=1).name, FINGERPRINT)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
def test_a_link_is_not_followed_and_a_pipe_not_waited_for(path: Path) -> None:
    link, pipe = path.with_name("link"), path.with_name("pipe")
    link.symlink_to(path)
    os.mkfifo(pipe)
    for bad in (link, pipe, path.parent, Path("/dev/zero")):
        with pytest.raises((BadBlock, OSError)):
            read_block(bad, BLOCK.name, FINGERPRINT)


@pytest.mark.parametrize("size", [1 << 40, MAX_SIZE, MAX_SIZE - 1, 2_000_000])
def test_a_sparse_file_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
    monkeypatch.setattr(block_file, "_content", None)
    with pytest.raises(BadBlock, match="too large" if size > MAX_SIZE else "cut off or too long"):
        read_block(path, BLOCK.name, FINGERPRINT)


def test_no_more_is_read_than_a_block_of_the_model_has(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the header says that there is more."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size + (1 << 32))
        file.seek(48)
        file.write((len(BLOCK.state) + (1 << 32)).to_bytes(8, "little"))
    monkeypatch.setattr(block_file, "_content", None)
    with pytest.raises(BadBlock, match="too large"):
        read_block(path, BLOCK.name, FINGERPRINT, max_size=2 * size)


def test_no_memory_for_a_block_is_no_fault_of_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)) as caught:
        read_block(path, BLOCK.name, FINGERPRINT)
    assert caught.value.errno == errno.ENOMEM
