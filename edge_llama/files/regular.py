"""Regular files, read without waiting: what stands at a path may be anything."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from edge_llama.units import format_limit


@contextmanager
def open_regular(path: Path, *, follow: bool = False) -> Iterator[FileIO]:
    """A regular file to read, unbuffered; a pipe is not waited for.

    Args:
        follow: take the file that a link stands for, instead of refusing links.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
        if os.name == "nt" and path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link", str(path))
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENXIO, "it is no regular file", str(path))
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_regular(path: Path, most: int, *, follow: bool = False) -> bytes:
    """All bytes of a small regular file.

    Args:
        most: bytes that it may have.
        follow: as `open_regular` takes it.

    Raises:
        OSError: it cannot be read, is something else, or is larger.
    """
    with open_regular(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= most else b""
        if max(size, len(content)) > most:
            raise OSError(errno.EFBIG, f"it has more than {format_limit(most)}", str(path))
        return content
