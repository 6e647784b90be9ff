"""sha256 of model files: of the whole, and of chunks, so that damage can be located."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_llama.weights.store.record import CHUNK_SIZE, StoredFile

_BUFFER_SIZE = 4 << 20


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


@dataclass(frozen=True, slots=True)
class FileReport:
    """How a stored file compares to its record.

    Attributes:
        file: what is recorded.
        state: `damaged` also for a file that is too short or too long.
        damaged: ranges of bytes that are wrong or missing, first and one past the last; the whole
            file where its record has no chunks.
    """

    file: StoredFile
    state: Literal["ok", "missing", "damaged"]
    damaged: tuple[tuple[int, int], ...] = ()


def hash_file(
    path: Path,
    *,
    chunk_size: int = CHUNK_SIZE,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> FileHash:
    """Read a file once and hash it.

    Args:
        on_bytes: called with how many bytes were hashed since its last call; what it raises ends
            the work.

    Raises:
        OSError: the file cannot be read.
    """
    whole = hashlib.sha256()
    chunks: list[str] = []
    size = 0
    buffer = memoryview(bytearray(min(_BUFFER_SIZE, chunk_size)))
    # hashlib lets go of the GIL: the whole and the chunk are hashed side by side.
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as other:
        chunk, room = hashlib.sha256(), chunk_size
        while count := file.readinto(buffer[: min(len(buffer), room)]):
            pending = other.submit(whole.update, buffer[:count])
            chunk.update(buffer[:count])
            pending.result()
            size += count
            room -= count
            if not room:
                chunks.append(chunk.hexdigest())
                chunk, room = hashlib.sha256(), chunk_size
            on_bytes(count)
        if room < chunk_size:
            chunks.append(chunk.hexdigest())
    return FileHash(size, whole.hexdigest(), tuple(chunks))


def check_file(
    file: StoredFile, *, on_bytes: Callable[[int], None] = lambda count: None
) -> FileReport:
    """Compare a stored file with its record.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        found = hash_file(file.path, chunk_size=file.chunk_size, on_bytes=on_bytes)
    except FileNotFoundError:
        return FileReport(file, "missing", ((0, file.size),))
    if (found.size, found.sha256) == (file.size, file.sha256):
        return FileReport(file, "ok")
    return FileReport(file, "damaged", _damaged_ranges(file, found))


def _damaged_ranges(file: StoredFile, found: FileHash) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for index, expected in enumerate(file.chunk_sha256):
        if found.chunk_sha256[index : index + 1] != (expected,):
            start = index * file.chunk_size
            end = min(start + file.chunk_size, file.size)
            if ranges and ranges[-1][1] == start:
                start = ranges.pop()[0]
            ranges.append((start, end))
    if found.size > file.size:
        ranges.append((file.size, found.size))
    return tuple(ranges) or ((0, file.size),)
