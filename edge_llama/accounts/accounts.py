"""Accounts: the keys of a server and what they use, in memory and on disk."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import NamedTuple, TypeAlias

from edge_llama.accounts.account import Account
from edge_llama.accounts.key import Key
from edge_llama.accounts.key_store import read_keys
from edge_llama.accounts.prices import Price
from edge_llama.accounts.state_file import StateFile, writing
from edge_llama.accounts.usage import DAY, HOUR, Spent, add_usage
from edge_llama.accounts.window import WINDOW
from edge_llama.errors import StateError

logger = logging.getLogger(__name__)


class Used(NamedTuple):
    """What one key used, to be written.

    Attributes:
        key: its id.
        pending: by hour and model.
        recent: requests and tokens of the last 60 seconds, by second.
    """

    key: str
    pending: Mapping[tuple[int, str], Spent]
    recent: Mapping[int, tuple[int, int]]


Batch: TypeAlias = list[Used]


class Accounts:
    """The keys of a state file as they are at each moment, and what they use.

    What is used is counted in memory and written by `write`. While that fails, keys and limits stay
    as they are: the door is never opened by a full disk.

    Args:
        file: where keys and usage are.
        prices: of models.
        clock: seconds since 1970.

    Raises:
        StateError: the file cannot be used.
    """

    def __init__(
        self,
        file: StateFile,
        prices: Mapping[str, Price] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._prices = prices or {}
        self._clock = clock
        self._reader = file.connect()
        self._writer = file.connect()
        self._writing = Lock()
        self._version = self._revision = -1
        self._told = False
        self._by_digest: dict[bytes, Key] = {}
        self._accounts: dict[str, Account] = {}
        self._refresh()

    def find(self, digest: bytes) -> Account | None:
        """The account that a key of that hash opens now."""
        self._refresh()
        key = self._by_digest.get(digest)
        if key is None or not key.opens(digest, self._clock()):
            return None
        return self.account(key)

    def account(self, key: Key) -> Account:
        """The account of a key, of this file or of another place, which has an id of its own."""
        account = self._accounts.get(key.id)
        if account is None:
            account = self._accounts[key.id] = self._opened(key)
        return account

    def __iter__(self) -> Iterator[Key]:
        """The keys that open something now."""
        self._refresh()
        now = self._clock()
        return (key for key in set(self._by_digest.values()) if key.opens(key.digest, now))

    @property
    def guards(self) -> bool:
        """There are keys, also if none of them opens anything any more.

        Raises:
            StateError: they were never read.
        """
        self._refresh()
        return bool(self._by_digest)

    def take(self) -> Batch:
        """What was used and is not written, which this forgets; in the thread that counts it."""
        now = self._clock()
        taken = [(account, account.take_pending()) for account in self._accounts.values()]
        return [
            Used(account.key.id, pending, account.recent(now))
            for account, pending in taken
            if pending
        ]

    def write(self, batch: Batch) -> None:
        """Write what was taken, so that it survives a loss of power too; in any thread.

        Raises:
            StateError: it cannot be written; `give_back` takes it up again.
        """
        with self._writing, self._file.telling(), writing(self._writer):
            for used in batch:
                for (hour, model), usage in used.pending.items():
                    add_usage(self._writer, hour, used.key, model, usage)
                self._writer.execute("DELETE FROM recent WHERE key = ?", (used.key,))
                self._writer.executemany(
                    "INSERT INTO recent VALUES (?, ?, ?, ?)",
                    [(used.key, second, *counts) for second, counts in used.recent.items()],
                )
        with self._writing, self._file.telling():
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def give_back(self, batch: Batch) -> None:
        """Take up again what could not be written; in the thread that counts."""
        for used in batch:
            self._accounts[used.key].give_back_pending(used.pending)

    def close(self) -> None:
        """Write what is left.

        Raises:
            StateError: it cannot be written.
        """
        try:
            self.write(self.take())
        finally:
            self._reader.close()
            self._writer.close()

    def _refresh(self) -> None:
        """Read the keys again if another process changed them."""
        try:
            version: int = self._reader.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return
            [revision] = self._reader.execute(
                "SELECT revision FROM revisions WHERE subject = 'keys'"
            ).fetchone()
            if revision != self._revision:
                self._take_keys(read_keys(self._reader))
            self._version, self._revision, self._told = version, revision, False
        except sqlite3.Error as error:
            if self._version < 0:
                raise StateError(f"{self._file.path} cannot be read: {error}.") from error
            if not self._told:
                logger.error("The API keys stay as they were: %s.", error)
            self._told = True

    def _take_keys(self, keys: list[Key]) -> None:
        by_digest: dict[bytes, Key] = {}
        for key in keys:
            if key.old_digest is not None:
                by_digest[key.old_digest] = key
        for key in keys:
            by_digest[key.digest] = key
            if key.id in self._accounts:
                self._accounts[key.id].key = key
        self._by_digest = by_digest

    def _opened(self, key: Key) -> Account:
        now = self._clock()
        day = int(now // DAY)
        with self._file.telling():
            recent = self._reader.execute(
                "SELECT second, requests, tokens FROM recent WHERE key = ? AND second > ?"
                " ORDER BY second",
                (key.id, int(now) - WINDOW - 1),
            ).fetchall()
            [today, cents] = self._reader.execute(
                "SELECT SUM(CASE WHEN hour >= ? THEN prompt_tokens + completion_tokens ELSE 0 END),"
                " SUM(cents) FROM usage WHERE key = ?",
                (day * DAY // HOUR * HOUR, key.id),
            ).fetchone()
        return Account(
            key,
            self._prices,
            requests=[(second, requests) for second, requests, _ in recent if requests],
            tokens=[(second, tokens) for second, _, tokens in recent if tokens],
            today=today or 0,
            day=day,
            cents=cents or 0.0,
        )
