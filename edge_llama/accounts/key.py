"""Key: an API key, of which only a hash is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from edge_llama.accounts.limits import KeyLimits
from edge_llama.errors import SettingsError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key.

    Attributes:
        id: names it for ever, such as `key_0f3a…`.
        name: whose it is.
        digest: SHA-256 of the key.
        limits: what it may use.
        admin: it may make and change others.
        created: seconds since 1970, as all times here.
        revoked: since when it opens nothing any more.
        old_digest: of the key that it had before.
        old_until: until when that one opens too.
    """

    id: str
    name: str
    digest: bytes
    limits: KeyLimits = field(default_factory=KeyLimits)
    admin: bool = False
    created: float = 0.0
    revoked: float | None = None
    old_digest: bytes | None = None
    old_until: float | None = None

    def opens(self, digest: bytes, now: float) -> bool:
        """Whether a key of that hash, which is this key's or its old one's, opens anything now."""
        if self.revoked is not None or self.expired(now):
            return False
        return digest == self.digest or (self.old_until is not None and now < self.old_until)

    def expired(self, now: float) -> bool:
        return self.limits.expires is not None and now >= self.limits.expires


def new_secret() -> str:
    """A new random key, which is kept nowhere."""
    return f"sk-{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> bytes:
    """SHA-256 of an API key without the blanks around it.

    It needs no salt: keys are random, not passwords.
    """
    return hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()


def check_name(name: str) -> None:
    """
    Raises:
        SettingsError: it cannot name a key.
    """
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot name an API key. Take at most 64 letters, digits and . _ @ -."
        )
