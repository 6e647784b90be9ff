"""API keys, of which only a hash is kept."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from edge_llama.settings.server import ServerSettings


class HashedKey(NamedTuple):
    """An API key, of which only a hash is kept.

    Attributes:
        name: whose it is.
        digest: SHA-256 of the key. It needs no salt: keys are random, not passwords.
    """

    name: str
    digest: bytes


def hash_key(key: str) -> bytes:
    """SHA-256 of an API key without the blanks around it."""
    return hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()


def keys_of(settings: ServerSettings) -> tuple[HashedKey, ...]:
    """All keys that open the server now; none at all leaves it open."""
    others = (HashedKey(key.name, key.digest) for key in settings.api_keys)
    if settings.api_key is None:
        return tuple(others)
    return (HashedKey("", hash_key(settings.api_key)), *others)
