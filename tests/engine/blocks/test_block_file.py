from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from edge_llama.engine.blocks.block_file import (
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
    assert write_block(file, BLOCK) == len(file.getvalue())
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


def test_a_sparse_file_of_a_terabyte_is_not_read(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadBlock, match="too large"):
        read_block(path, BLOCK.name, FINGERPRINT)
