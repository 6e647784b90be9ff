"""What a model's files contain: their sha256, computed once for each version of a file."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_llama.files.durable import writing_whole
from edge_llama.files.hash import sha256_of
from edge_llama.files.own_folder import make_own_folder
from edge_llama.files.regular import read_regular

logger = logging.getLogger("edge_llama.engine")

CHUNK = 16 << 20
"""Bytes that are read at once: so large that the thread seldom needs Python's lock, which it could
lose the CPU with.
"""

MOST_RECORD = 64 * 1024
"""Bytes that what is known of a file takes at most."""

_PART = re.compile(r"(.+)-00001-of-(\d{5})\.gguf", re.IGNORECASE)


class FileVersion(msgspec.Struct, frozen=True):
    """A file as it was at a moment. As long as this stays the same, so do its bytes.

    Size and time of change are not enough: reproducible images give all files the same time, and
    two models are of one size if only their weights differ. What older versions kept lacks the
    rest, and so is of no file.

    Attributes:
        path: absolute.
        size: bytes; -1 if there was no such file.
        mtime_ns: when it was changed, in nanoseconds since 1970.
        ctime_ns: when the system saw a change of it, which nobody can set; on Windows when it was
            made.
        inode: the system's number of the file.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int = -1
    inode: int = -1

    @classmethod
    def of(cls, path: Path) -> FileVersion:
        try:
            status = path.stat()
        except OSError:
            return cls(str(path.absolute()), -1, 0)
        return cls(
            str(path.absolute()),
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
        )


def model_files(model: Path) -> tuple[FileVersion, ...]:
    """All files of a model, which may be split as `llama-gguf-split` does it.

    Args:
        model: the first of them.
    """
    match = _PART.fullmatch(model.name)
    if match is None:
        return (FileVersion.of(model),)
    prefix, count = match[1], match[2]
    names = (f"{prefix}-{number:05}-of-{count}.gguf" for number in range(1, int(count) + 1))
    return tuple(FileVersion.of(model.with_name(name)) for name in names)


def hash_file(file: FileVersion) -> str:
    """The sha256 of a file, lower-case hex.

    Raises:
        OSError: it cannot be read, or is another one by now.
    """
    found = sha256_of(Path(file.path), buffer_size=min(CHUNK, max(1, file.size)))
    _see_that_it_is(file)
    return found


class _Known(msgspec.Struct):
    file: FileVersion
    sha256: str


@dataclass(frozen=True, slots=True)
class KnownHashes:
    """The sha256 of files that were hashed once, kept for all processes of a user.

    Args:
        folder: has one small file for each path; it need not exist.
    """

    folder: Path

    def find(self, files: Sequence[FileVersion]) -> tuple[str, ...] | None:
        """Those of all files; None if one is not known, or the file is another one by now.

        What is no record of ours is logged.
        """
        found = [self._find(file) for file in files]
        hashes = tuple(sha256 for sha256 in found if sha256 is not None)
        return hashes if len(hashes) == len(found) else None

    def add(self, file: FileVersion, sha256: str) -> None:
        """Remember what a file has.

        Raises:
            OSError: the folder cannot be written, or is not this user's own.
        """
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_own_folder(self.folder)
        path = self._path_of(file)
        part = path.with_name(f"{path.stem}.{os.getpid()}.part")
        with writing_whole(path, part=part, private=True) as stream:
            stream.write(msgspec.json.encode(_Known(file, sha256)))

    def _find(self, file: FileVersion) -> str | None:
        path = self._path_of(file)
        try:
            known = msgspec.json.decode(read_regular(path, MOST_RECORD), type=_Known)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            logger.warning("The model is hashed again, for %s cannot be used: %s.", path, reason)
            return None
        return known.sha256 if known.file == file == FileVersion.of(Path(file.path)) else None

    def _path_of(self, file: FileVersion) -> Path:
        name = hashlib.sha256(file.path.encode(errors="surrogateescape")).hexdigest()[:32]
        return self.folder / f"{name}.json"


def _see_that_it_is(file: FileVersion) -> None:
    if FileVersion.of(Path(file.path)) != file:
        raise OSError(errno.EBUSY, "it was changed while it was loaded", file.path)
