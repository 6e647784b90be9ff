"""The file of API keys: who has one, and its hash.

```
# Lines that begin with # are ignored.
alice sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
```
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edge_llama.accounts.key import NAME, check_name, hash_key, new_secret
from edge_llama.api.gate.hashed_key import HashedKey
from edge_llama.errors import SettingsError
from edge_llama.files.regular import read_regular

logger = logging.getLogger(__name__)

MAX_SIZE = 4 << 20
"""Bytes of a file: some 40,000 keys. It is read between requests."""

_LINE = re.compile(rf"({NAME.pattern})\s+sha256:([0-9a-f]{{64}})")


class KeyFile:
    """The keys of a file, as it is each time that they are looked at.

    A change that cannot be read is told once, in the log, and leaves the keys as they were.

    Args:
        path: the file.

    Raises:
        SettingsError: as `read_keys` does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _version(path)
        self._keys = read_keys(path)

    def __iter__(self) -> Iterator[HashedKey]:
        version = _version(self._path)
        if version != self._seen:
            self._seen = version
            try:
                self._keys = read_keys(self._path)
            except SettingsError as error:
                logger.warning("%s The API keys stay as they were.", error)
        return iter(self._keys)


def read_keys(path: Path) -> tuple[HashedKey, ...]:
    """The keys of a file.

    Raises:
        SettingsError: it cannot be read, is something else than a file, or too large; a line is
            wrong, a name is there twice, or there is none.
    """
    try:
        # Kubernetes gives secrets as links.
        lines = read_regular(path, MAX_SIZE, follow=True).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The API keys in {path} cannot be read: {_reason(error)}.") from None
    keys = [
        _parse(line.strip(), f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    if not keys:
        raise SettingsError(f"{path} has no API key. Add one with: edge-llama api-key NAME {path}")
    names = Counter(key.name for key in keys)
    [(name, count)] = names.most_common(1)
    if count > 1:
        raise SettingsError(f"{path} has two API keys for {name}. Remove one of the lines.")
    return tuple(keys)


def add_key(path: Path, name: str) -> str:
    """Make a new random key, add its hash to a file, and return the key, which is kept nowhere.

    The file is made if there is none, readable for its owner only.

    Raises:
        SettingsError: the name cannot be used or is taken, or the file cannot be read or written.
    """
    check_name(name)
    begun = path.exists() and (not path.is_file() or path.stat().st_size)
    if begun and any(key.name == name for key in read_keys(path)):
        raise SettingsError(
            f"{path} has an API key for {name} already. Remove that line to replace the key."
        )
    key = new_secret()
    line = f"{name} sha256:{hash_key(key).hex()}\n"
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(file, "a", encoding="utf-8") as stream:  # noqa: PTH123
            stream.write(line)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {_reason(error)}.") from None
    return key


def _version(path: Path) -> tuple[int, int, int] | None:
    """Another one when the file was written or replaced; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _parse(line: str, place: str) -> HashedKey:
    match = _LINE.fullmatch(line)
    if match is None:
        # What stands there may be a key.
        raise SettingsError(
            f"{place}: not of the form NAME sha256:HASH. edge-llama api-key adds keys."
        )
    return HashedKey(match[1], bytes.fromhex(match[2]))


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
