"""Ids of what the server sends."""

from __future__ import annotations

import uuid


def unique_id(prefix: str, separator: str = "_") -> str:
    """A new id such as `resp_0f3a…`; the part after `separator` has 32 hexadecimal digits."""
    return f"{prefix}{separator}{uuid.uuid4().hex}"
