"""Stored files held against their records, so that damage can be located."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edge_llama.files.hash import FileHash, hash_file
from edge_llama.weights.store.record import StoredFile


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
