"""A block as a file.

```
magic        8   b"ELLMKV", the version of this format as two bytes
fingerprint 16   of the model and of how its KV is stored
parent      16   the name of the block before this one
n_tokens     4   little-endian, like all numbers
label_size   4
state_size   8
tokens           int32 each
label            the model as people call it, UTF-8
state            llama.cpp's state of these tokens alone
digest      32   BLAKE2b of everything before it
```
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from edge_llama.engine.blocks.fingerprint import FINGERPRINT_BYTES, FORMAT_VERSION
from edge_llama.engine.blocks.name import BlockName, block_name
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.files.regular import open_regular

ByteArray = npt.NDArray[np.uint8]

MAGIC = b"ELLMKV" + FORMAT_VERSION.to_bytes(2, "big")
MAX_LABEL = 256
MAX_TOKENS = 1 << 20
MAX_SIZE = 1 << 36
"""Bytes of a file, for who does not know the model."""

_HEADER = struct.Struct(f"<8s{FINGERPRINT_BYTES}s16sIIQ")
_DIGEST_SIZE = 32


class BadBlock(Exception):
    """A file is not the block that its name says."""


@dataclass(frozen=True, slots=True)
class Block:
    """The KV of some tokens.

    Attributes:
        fingerprint: of the model and of how its KV is stored.
        parent: the block before this one, or its cache domain's root.
        tokens: their ids.
        state: llama.cpp's state of these tokens alone.
        label: the model as people call it.
    """

    fingerprint: bytes
    parent: BlockName
    tokens: TokenArray
    state: ByteArray
    label: str = ""

    @property
    def name(self) -> BlockName:
        return block_name(self.parent, self.tokens)

    @property
    def file_size(self) -> int:
        """Bytes of its file."""
        label = _label(self)
        return _HEADER.size + 4 * len(self.tokens) + len(label) + len(self.state) + _DIGEST_SIZE


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """What is before the state. Nothing of it is verified."""

    fingerprint: bytes
    parent: BlockName
    tokens: TokenArray
    label: str
    state_size: int


def write_block(file: BinaryIO, block: Block) -> int:
    """Write a block; returns how many bytes.

    Raises:
        OSError: the system refused.
    """
    label = _label(block)
    header = _HEADER.pack(
        MAGIC,
        block.fingerprint,
        block.parent,
        len(block.tokens),
        len(label),
        len(block.state),
    )
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    size = 0
    for part in (header, block.tokens.astype("<i4").tobytes(), label, block.state.data):
        digest.update(part)
        size += file.write(part)
    return size + file.write(digest.digest())


def read_block(
    path: Path, name: BlockName, fingerprint: bytes, *, max_size: int = MAX_SIZE
) -> Block:
    """Read a block and see that it is whole and what it should be.

    Args:
        max_size: bytes that the file of a block of this model has at most. No more memory is taken.

    Raises:
        BadBlock: it is not.
        OSError: it cannot be read, or there is no memory for it.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_size:
            raise BadBlock("it is too large")
        header, start = _read_header(file)
        if size != start + header.state_size + _DIGEST_SIZE:
            raise BadBlock("it is cut off or too long")
        file.seek(0)
        try:
            return parse_block(_content(file, size), name, fingerprint)
        except MemoryError:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from None


def read_header(path: Path) -> BlockHeader:
    """What is before the state of a block; nothing of it is verified.

    Raises:
        BadBlock: this is no block.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        return _read_header(file)[0]


def parse_block(content: ByteArray, name: BlockName, fingerprint: bytes) -> Block:
    """The block of which `content` is the file.

    Raises:
        BadBlock: it is damaged, or another block.
    """
    header, start = _parse_header(content)
    end = start + header.state_size
    if len(content) != end + _DIGEST_SIZE:
        raise BadBlock("it is cut off")
    digest = hashlib.blake2b(content[:end].data, digest_size=_DIGEST_SIZE).digest()
    if digest != content[end:].tobytes():
        raise BadBlock("it is damaged")
    if header.fingerprint != fingerprint:
        raise BadBlock(
            "it is of another model, or of one that runs in another way (KV type and layout, "
            "attention, llama.cpp)"
        )
    block = Block(header.fingerprint, header.parent, header.tokens, content[start:end])
    if block.name != name:
        raise BadBlock("it holds other tokens than its name says")
    return block


def _label(block: Block) -> bytes:
    return block.label.encode()[:MAX_LABEL]


def _read_header(file: FileIO) -> tuple[BlockHeader, int]:
    """The header, and where the state begins."""
    content = file.read(_HEADER.size)
    content += file.read(_header_size(content) - len(content))
    return _parse_header(np.frombuffer(content, np.uint8))


def _parse_header(content: ByteArray) -> tuple[BlockHeader, int]:
    """The header, and where the state begins."""
    start = _header_size(content.data)
    if len(content) < start:
        raise BadBlock("it is cut off")
    _, fingerprint, parent, n_tokens, label_size, state_size = _HEADER.unpack_from(content.data)
    tokens = content[_HEADER.size : _HEADER.size + 4 * n_tokens].view("<i4").astype(np.int32)
    label = content[start - label_size : start].tobytes().decode(errors="replace")
    header = BlockHeader(fingerprint, BlockName(parent), tokens, label, state_size)
    return header, start


def _header_size(content: bytes | memoryview) -> int:
    """Bytes before the state, as the first of them say."""
    if len(content) < _HEADER.size:
        raise BadBlock("it is cut off")
    magic, _, _, n_tokens, label_size, _ = _HEADER.unpack_from(content)
    if magic != MAGIC:
        raise BadBlock("it is no block of this version")
    if not 0 < n_tokens <= MAX_TOKENS or label_size > MAX_LABEL:
        raise BadBlock("its header makes no sense")
    return int(_HEADER.size + 4 * n_tokens + label_size)


def _content(file: FileIO, size: int) -> ByteArray:
    content = np.empty(size, np.uint8)
    view, filled = content.data, 0
    while filled < size:
        count = file.readinto(view[filled:])
        if not count:
            break
        filled += count
    return content[:filled]
