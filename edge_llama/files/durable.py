"""Files that are whole or not there, also after a crash."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edge_llama.errors import NotEnoughSpace, WeightsError

logger = logging.getLogger("edge_llama.files")

_NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NOT_THERE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems answer that lack an operation, such as shares of other machines."""
_told: set[str] = set()


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


@contextmanager
def writing_whole(
    path: Path, *, part: Path | None = None, private: bool = False
) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of that at `path` when the block ends without an
    error; its folder is there. A loss of power may undo that, and leaves no half of it.

    Args:
        part: where it is until then, in the same file system. None is a name beside it that the
            next attempt uses again, after a kill.
        private: nobody else may read it, and it is not written through a link.

    Raises:
        OSError: the system refused; the old file is unharmed.
    """
    part = part or path.with_name(f"{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    if private:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(part, flags, 0o600 if private else 0o666), "wb") as file:
            yield file
            file.flush()
            _sync(file.fileno(), path)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file at `path`, or make it, so that it survives a loss of power too.

    Raises:
        OSError: the system refused; the old file is unharmed.
    """
    with writing_whole(path) as file:
        file.write(content)
    sync_folder(path.parent)


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
        _sync(file.fileno(), path)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` survive a loss of power, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor, folder)
    finally:
        os.close(descriptor)


def lacks_operation(error: OSError) -> bool:
    """Whether a file system says that it does not have what was asked of it."""
    return error.errno in _NOT_THERE


def tell_once(operation: str, text: str) -> None:
    """Log what is done without, the first time that `operation` is missed in this process."""
    if operation not in _told:
        _told.add(operation)
        logger.warning("%s", text)


@contextmanager
def naming_lock(file: str) -> Iterator[None]:
    """Tell which file cannot be locked, and why.

    Raises:
        OSError: it cannot be, for instance because its file system has no locks.
    """
    try:
        yield
    except NotImplementedError as error:  # of a filelock that does not go on by itself
        raise OSError(errno.ENOLCK, "its file system has no locks", file) from error
    except TimeoutError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), error.filename or file) from error


def _sync(descriptor: int, path: Path) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not lacks_operation(error):
            raise
        tell_once(
            "fsync",
            f"The file system of {path} has no fsync ({error.strerror}): what was just written may "
            "be lost when the power fails. Everything else goes on.",
        )


def remove_empty(folder: Path, root: Path) -> None:
    """Remove `folder` and those above it, as far as they are empty, up to `root`, which stays."""
    with suppress(OSError):  # not empty
        while folder != root:
            folder.rmdir()
            folder = folder.parent
