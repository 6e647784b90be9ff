"""Entry: a file in the folder of blocks, told by its name and its times alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edge_llama.engine.blocks.name import BlockName

MODEL_DIGITS = 8
"""Hexadecimal digits of the fingerprint in the files' names, so that a model's can be told."""

_NAME = re.compile(r"([0-9a-f]{8})-([0-9a-f]{32})-([0-9a-f]{32})-(\d{1,7})\.kv")


class FileName(NamedTuple):
    """What the name of a block's file says.

    Attributes:
        model: the first digits of the fingerprint.
        n_tokens: tokens of the block.
    """

    model: str
    parent: BlockName
    name: BlockName
    n_tokens: int

    @classmethod
    def parse(cls, file: str) -> FileName | None:
        """None if this is not the name of a block's file."""
        match = _NAME.fullmatch(file)
        if match is None:
            return None
        parent, name = (BlockName(bytes.fromhex(match[group])) for group in (2, 3))
        return cls(match[1], parent, name, int(match[4]))

    def __str__(self) -> str:
        return f"{self.model}-{self.parent.hex()}-{self.name.hex()}-{self.n_tokens}.kv"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the folder, as its name and its times tell.

    Attributes:
        path: the file.
        model: the first digits of the fingerprint; empty for what is being written.
        n_tokens: how many tokens it holds; 0 for what is being written.
        size: bytes.
        used: when it was last used, in nanoseconds since 1970.
    """

    path: Path
    model: str
    n_tokens: int
    size: int
    used: int


def remove(entry: Entry) -> int:
    """Remove a file; bytes that are free again.

    A folder in its place stays, and on Windows what another process reads.

    Raises:
        OSError: the system refused.
    """
    try:
        entry.path.unlink(missing_ok=True)
    except (PermissionError, IsADirectoryError):
        return 0
    return entry.size


def entries_of(folder: Path) -> Iterator[Entry]:
    """All files in a folder that are blocks, or are being written.

    Raises:
        OSError: the folder is there and cannot be read.
    """
    with suppress(FileNotFoundError), os.scandir(folder) as files:
        for file in files:
            if (entry := _entry(file)) is not None:
                yield entry


def _entry(file: os.DirEntry[str]) -> Entry | None:
    name = FileName.parse(file.name)
    if name is None and not file.name.endswith(".part"):
        return None
    try:
        status = file.stat(follow_symlinks=False)
    except OSError:
        return None
    model, n_tokens = (name.model, name.n_tokens) if name else ("", 0)
    return Entry(Path(file.path), model, n_tokens, status.st_size, status.st_mtime_ns)
