"""API keys, of which only a hash is kept."""

from __future__ import annotations

from typing import NamedTuple

from edge_llama.accounts.key import hash_key
from edge_llama.settings.server import ServerSettings


class HashedKey(NamedTuple):
    """An API key, of which only a hash is kept.

    Attributes:
        name: whose it is.
        digest: SHA-256 of the key. It needs no salt: keys are random, not passwords.
    """

    name: str
    digest: bytes


def keys_of(settings: ServerSettings) -> tuple[HashedKey, ...]:
    """All keys that open the server now; none at all leaves it open."""
    others = (HashedKey(key.name, key.digest) for key in settings.api_keys)
    if settings.api_key is None:
        return tuple(others)
    return (HashedKey("", hash_key(settings.api_key)), *others)
