"""KeyStore: the keys of a state file, to make, change and look at them."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from edge_llama.accounts.key import Key, check_name, hash_key, new_secret
from edge_llama.accounts.limits import KeyLimits, limits_from_json
from edge_llama.accounts.state_file import StateFile, writing
from edge_llama.errors import SettingsError

_COLUMNS = "id, name, digest, old_digest, old_until, created, revoked, admin, limits"


class KeyStore:
    """The keys of a state file. A server that runs obeys from its next request on.

    Args:
        file: where they are.
        clock: seconds since 1970.

    Raises:
        StateError: the file cannot be used, here and in every method.
    """

    def __init__(self, file: StateFile, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._connection = file.connect()

    def create(
        self, name: str, limits: KeyLimits | None = None, *, admin: bool = False
    ) -> tuple[Key, str]:
        """A new key, and what its user sends, which is kept nowhere.

        Raises:
            SettingsError: the name cannot be used, or is taken.
        """
        check_name(name)
        secret = new_secret()
        key = Key(
            id=f"key_{secrets.token_hex(12)}",
            name=name,
            digest=hash_key(secret),
            limits=limits or KeyLimits(),
            admin=admin,
            created=self._clock(),
        )
        with self._changing():
            if self._found("name = ?", name):
                raise SettingsError(
                    f"There is a key {name} already. `edge-llama keys rotate {name}` replaces it."
                )
            self._connection.execute(
                f"INSERT INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                _row(key),
            )
        return key, secret

    def get(self, name: str) -> Key:
        """The key of that name or id.

        Raises:
            SettingsError: there is none.
        """
        with self._file.telling():
            found = self._found("name = ? OR id = ?", name, name)
        if not found:
            names = [key.name for key in self]
            there = f"There are {', '.join(sorted(names))}." if names else "There are none yet."
            raise SettingsError(f"There is no key {name}. {there}")
        return found[0]

    def set_limits(self, name: str, limits: KeyLimits) -> Key:
        """The key of that name or id with other limits.

        Raises:
            SettingsError: there is none.
        """
        return self._replace(replace(self.get(name), limits=limits))

    def rotate(self, name: str, *, old_valid: float = 0.0) -> tuple[Key, str]:
        """The key of that name or id with a new secret, and that.

        Args:
            old_valid: seconds for which the old secret opens too.

        Raises:
            SettingsError: there is none, or it was revoked.
        """
        key = self.get(name)
        if key.revoked is not None:
            raise SettingsError(f"The key {key.name} was revoked. Make a new one.")
        secret = new_secret()
        until = self._clock() + old_valid if old_valid > 0 else None
        rotated = replace(
            key,
            digest=hash_key(secret),
            old_digest=None if until is None else key.digest,
            old_until=until,
        )
        return self._replace(rotated), secret

    def revoke(self, name: str) -> Key:
        """The key of that name or id, which opens nothing any more; its usage is kept, and its
        name is free for another.

        Raises:
            SettingsError: there is none.
        """
        key = self.get(name)
        if key.revoked is not None:
            return key
        freed = f"{key.name}~{key.id.removeprefix('key_')}"
        return self._replace(replace(key, name=freed, revoked=self._clock()))

    def __iter__(self) -> Iterator[Key]:
        """All, the oldest first, revoked ones too."""
        with self._file.telling():
            return iter(sorted(self._found("1"), key=lambda key: key.created))

    def close(self) -> None:
        self._connection.close()

    def _replace(self, key: Key) -> Key:
        _, *values = _row(key)
        columns = ", ".join(f"{name} = ?" for name in _COLUMNS.split(", ")[1:])
        with self._changing():
            self._connection.execute(
                f"UPDATE keys SET {columns} WHERE id = ?",  # noqa: S608
                (*values, key.id),
            )
        return key

    def _found(self, condition: str, *values: str) -> list[Key]:
        return read_keys(self._connection, condition, *values)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction after which servers look at the keys anew."""
        with self._file.telling(), writing(self._connection):
            yield
            self._connection.execute(
                "UPDATE revisions SET revision = revision + 1 WHERE subject = 'keys'"
            )


def read_keys(connection: sqlite3.Connection, condition: str = "1", *values: str) -> list[Key]:
    """The keys that meet an SQL condition."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM keys WHERE {condition}", values)  # noqa: S608
    return [
        Key(
            id=id,
            name=name,
            digest=digest,
            old_digest=old_digest,
            old_until=old_until,
            created=created,
            revoked=revoked,
            admin=bool(admin),
            limits=limits_from_json(limits),
        )
        for id, name, digest, old_digest, old_until, created, revoked, admin, limits in rows
    ]


def _row(key: Key) -> tuple[object, ...]:
    """In the order of `_COLUMNS`."""
    return (
        *(key.id, key.name, key.digest, key.old_digest, key.old_until),
        *(key.created, key.revoked, key.admin, key.limits.to_json()),
    )
