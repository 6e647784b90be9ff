"""Blocks in one file, to be shipped with a program: a tar archive of their files."""

from __future__ import annotations

import logging
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_llama.engine.blocks.block_file import BadBlock, parse_block
from edge_llama.engine.blocks.entry import FileName
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.files.durable import writing_whole

logger = logging.getLogger("edge_llama.engine")


def write_prefix(folder: BlockFolder, path: Path) -> int:
    """Pack all blocks of a folder; returns how many.

    Raises:
        OSError: the file cannot be written.
    """
    blocks = [entry.path for entry in folder.entries() if entry.model]
    with writing_whole(path) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for block in blocks:
            archive.add(block, arcname=block.name, filter=_anonymous)
    return len(blocks)


def add_prefix(path: Path, folder: BlockFolder) -> None:
    """Put the blocks of a file into a folder, unless they are there.

    A file that is damaged, or of another model or build, is ignored with a line in the log.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            for name, content in _members(archive, folder):
                folder.add(parse_block(content, name.name, folder.fingerprint))
    except (BadBlock, tarfile.TarError, OSError) as error:
        logger.warning("The prefix in %s is not used: %s.", path, error)


def _members(
    archive: tarfile.TarFile, folder: BlockFolder
) -> Iterator[tuple[FileName, np.ndarray[tuple[int], np.dtype[np.uint8]]]]:
    """The blocks that are missing."""
    for member in archive:
        name = FileName.parse(member.name)
        file = archive.extractfile(member) if name is not None and member.isreg() else None
        if name is None or file is None:
            raise BadBlock("it holds something else too")
        if member.size > folder.max_file:
            raise BadBlock("a block in it is too large")
        if not folder.has(name.parent, name.name):
            yield name, np.frombuffer(bytearray(file.read()), np.uint8)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what it would tell of who packed it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member
