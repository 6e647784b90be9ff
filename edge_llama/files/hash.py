"""sha256 of files, of the whole and of chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

BUFFER_SIZE = 4 << 20
"""Bytes that are read at once."""

CHUNK_SIZE = 64 << 20
"""Bytes whose own hash tells where a large file is damaged."""


@dataclass(frozen=True, slots=True)
class FileHash:
    """What a file contains.

    Attributes:
        size: bytes.
        sha256: lower-case hex.
        chunk_sha256: the same of each chunk; the last one may be shorter.
    """

    size: int
    sha256: str
    chunk_sha256: tuple[str, ...]


def sha256_of(path: Path, *, buffer_size: int = BUFFER_SIZE) -> str:
    """The sha256 of a file, lower-case hex.

    Raises:
        OSError: the file cannot be read.
    """
    whole = hashlib.sha256()
    for piece in _pieces(path, buffer_size):
        whole.update(piece)
    return whole.hexdigest()


def hash_file(
    path: Path,
    *,
    chunk_size: int = CHUNK_SIZE,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> FileHash:
    """Read a file once and hash it and its chunks.

    Args:
        chunk_size: bytes of a chunk.
        on_bytes: called with how many bytes were hashed since its last call; what it raises ends
            the work.

    Raises:
        OSError: the file cannot be read.
    """
    whole = hashlib.sha256()
    chunks: list[hashlib._Hash] = []
    size = 0
    # hashlib lets go of the GIL: the whole and the chunk are hashed side by side.
    with ThreadPoolExecutor(1) as other:
        for piece in _pieces(path, BUFFER_SIZE, chunk_size):
            pending = other.submit(whole.update, piece)
            if size % chunk_size == 0:
                chunks.append(hashlib.sha256())
            chunks[-1].update(piece)
            pending.result()
            size += len(piece)
            on_bytes(len(piece))
    return FileHash(size, whole.hexdigest(), tuple(chunk.hexdigest() for chunk in chunks))


def _pieces(path: Path, buffer_size: int, chunk_size: int | None = None) -> Iterator[memoryview]:
    """The bytes of a file in pieces, of which none reaches over the end of a chunk.

    Each is in the same memory as the one before.
    """
    chunk_size = chunk_size or buffer_size
    buffer = memoryview(bytearray(min(buffer_size, chunk_size)))
    room = chunk_size
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer[:room]):
            yield buffer[:count]
            room = room - count or chunk_size
