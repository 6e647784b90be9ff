"""What KV depends on besides its tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

FINGERPRINT_BYTES = 16

FORMAT_VERSION = 1
"""Of the files of blocks."""


def fingerprint(model: Sequence[str], layout: str) -> bytes:
    """A hash of a model and of how its KV is computed and stored; 16 bytes.

    Args:
        model: the sha256 of its files.
        layout: all else that the KV depends on.
    """
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    digest.update(repr((FORMAT_VERSION, layout, *model)).encode())
    return digest.digest()
