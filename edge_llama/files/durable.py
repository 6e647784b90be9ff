"""Files that are whole or not there, also after a crash."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_llama.errors import NotEnoughSpace, WeightsError

_NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Tell what fails in the block while something below `folder` is written or removed.

    Raises:
        NotEnoughSpace: the disk or the user's quota is full.
        WeightsError: the system refused for another reason, e.g. because it is read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise NotEnoughSpace(
                f"The disk of {folder} is full. Free some space and try again."
            ) from error
        raise WeightsError(
            f"{error.filename or folder} cannot be changed: {error.strerror or error}. Set "
            "EDGE_LLAMA_HOME to a folder that can be written."
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file at `path`, or make it; its folder is there.

    What a kill leaves half written has a name that the next attempt uses again.

    Raises:
        OSError: the system refused; the old file is unharmed.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        move_whole(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def move_whole(source: Path, target: Path) -> None:
    """Give a file that was synced its name in the same file system, replacing what had it.

    Raises:
        OSError: the system refused.
    """
    source.replace(target)
    sync_folder(target.parent)


def sync_file(path: Path) -> None:
    """Have the content of a file survive a loss of power."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` survive a loss of power, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_empty(folder: Path, root: Path) -> None:
    """Remove `folder` and those above it, as far as they are empty, up to `root`, which stays."""
    with suppress(OSError):  # not empty
        while folder != root:
            folder.rmdir()
            folder = folder.parent
