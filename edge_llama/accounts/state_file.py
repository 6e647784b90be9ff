"""StateFile: the SQLite file that holds what a server knows of its users."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from edge_llama.errors import StateError

FILE_NAME = "state.sqlite3"

BUSY_SECONDS = 5.0
"""How long a write waits for that of another process."""

MIGRATIONS = (
    """
    CREATE TABLE revisions (subject TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO revisions VALUES ('keys', 0);
    CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        digest BLOB NOT NULL UNIQUE,
        old_digest BLOB,
        old_until REAL,
        created REAL NOT NULL,
        revoked REAL,
        admin INTEGER NOT NULL DEFAULT 0,
        limits TEXT NOT NULL
    );
    CREATE TABLE usage (
        hour INTEGER NOT NULL,
        key TEXT NOT NULL,
        model TEXT NOT NULL,
        requests INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        cents REAL NOT NULL,
        PRIMARY KEY (hour, key, model)
    ) WITHOUT ROWID;
    CREATE TABLE recent (
        key TEXT NOT NULL,
        second INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        PRIMARY KEY (key, second)
    ) WITHOUT ROWID;
    """,
)
"""What makes a file of version n one of version n + 1. What was released is never changed."""


class StateFile:
    """Connections to the file, which is made when the first of them is.

    Prompts and keys themselves are not in it: of a key there is a hash. It is in WAL mode, for
    a server and commands at once.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.exists()

    def connect(self) -> sqlite3.Connection:
        """A connection to the file in its newest version; any thread may use it, one at a time.

        Raises:
            StateError: the file cannot be made, read or written, is locked, is none of ours, or
                of a newer version.
        """
        with self.telling():
            self._make()
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                self._migrate(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What the block cannot do with the file becomes a StateError, which names it."""
        try:
            yield
        except sqlite3.Error as error:
            raise StateError(f"{self.path} cannot be used: {_reason(error)}") from error
        except OSError as error:
            raise StateError(
                f"{self.path} cannot be used: {error.strerror or error}. `state_dir` names another "
                "folder."
            ) from error

    def _make(self) -> None:
        """An empty file that is the owner's alone: SQLite gives its journals the same mode."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(self.path, flags, 0o600))

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with writing(connection):
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise StateError(
                    f"{self.path} was written by a newer edge-llama. Install that, or set "
                    "`state_dir` to another folder."
                )
            for statements in MIGRATIONS[version:]:
                for statement in filter(str.strip, statements.split(";")):
                    connection.execute(statement)
            if version < len(MIGRATIONS):
                connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that is there whole or not at all, after those of other processes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def default_state_dir() -> Path:
    """`$EDGE_LLAMA_HOME/state`, else in the system's folder for user data."""
    if home := os.environ.get("EDGE_LLAMA_HOME"):
        return Path(home).expanduser() / "state"
    return platformdirs.user_data_path("edge-llama", appauthor=False) / "state"


def _reason(error: sqlite3.Error) -> str:
    text = str(error)
    if "locked" in text:
        return "another program has locked it. End that program, or try again."
    if "full" in text:
        return "the disk is full. Free some space."
    if "readonly" in text:
        return "it is read-only. Give its owner the right to write, or set `state_dir`."
    return f"{text}. Restore it from a backup, or move it away to begin anew without any keys."
