"""KeyDoor: which key opens the server, and whose account it is."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from edge_llama.accounts.account import Account
from edge_llama.accounts.accounts import Accounts
from edge_llama.accounts.key import Key, hash_key
from edge_llama.api.gate.hashed_key import HashedKey, keys_of
from edge_llama.settings.server import ServerSettings

MAIN_KEY = "main"
"""The name of the key that is a setting."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        id: tells callers apart; empty where no key is needed.
        account: what he uses, if that is counted.
    """

    id: str = ""
    account: Account | None = None


class KeyDoor:
    """Looks keys up: those of the accounts, of the settings and of their file.

    Args:
        settings: may have keys.
        accounts: may have keys, and count what all of them use.
    """

    def __init__(self, settings: ServerSettings, accounts: Accounts | None) -> None:
        self._settings = settings
        self._accounts = accounts

    @property
    def guarded(self) -> bool:
        """Requests need a key. Keys that no longer open anything guard the door too."""
        guards = self._accounts is not None and self._accounts.guards
        return guards or bool(keys_of(self._settings))

    def find(self, key: str) -> Caller | None:
        """Whose key it is; None opens nothing.

        Raises:
            StateError: the accounts cannot be read.
        """
        offered = hash_key(key)
        if self._accounts is not None and (account := self._accounts.find(offered)):
            return Caller(account.key.id, account)
        # Every key is compared, in the same time whether it fits or not.
        fitting = [
            each for each in keys_of(self._settings) if hmac.compare_digest(each.digest, offered)
        ]
        return self._of_settings(fitting[0]) if fitting else None

    def _of_settings(self, found: HashedKey) -> Caller:
        id = found.digest.hex()
        if self._accounts is None:
            return Caller(id)
        name = found.name or MAIN_KEY
        return Caller(id, self._accounts.account(Key(id=name, name=name, digest=found.digest)))
