"""How keys are told: as text and as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_llama.accounts.key import Key
    from edge_llama.accounts.usage import Spent


def key_object(key: Key) -> dict[str, Any]:
    """What is known of a key, as JSON has it."""
    return {
        "id": key.id,
        "name": key.name,
        "admin": key.admin,
        "created": key.created,
        "revoked": key.revoked,
        "limits": asdict(key.limits),
    }


def usage_object(usage: Spent) -> dict[str, Any]:
    """What was used, as JSON has it."""
    return asdict(usage)


def state_of(key: Key) -> str:
    """`active`, `revoked` or `expired`."""
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expired(time.time()) else "active"


def limits_text(key: Key) -> str:
    """Its limits in one line, `none` if there are none."""
    return ", ".join(f"{name} {value}" for name, value in limit_facts(key)) or "none"


def limit_facts(key: Key) -> Iterator[tuple[str, str]]:
    """Each limit of a key that it has, with its value."""
    limits = key.limits
    if limits.models is not None:
        yield "models", " ".join(limits.models)
    for name in ("rpm", "tpm", "tokens_per_day", "parallel", "budget_cents"):
        value = getattr(limits, name)
        if value is not None:
            yield name.replace("_", " "), f"{value:g}" if isinstance(value, float) else f"{value:,}"
    if limits.expires is not None:
        yield "expires", moment(limits.expires)
    if limits.tier != "default":
        yield "tier", limits.tier


def moment(seconds: float) -> str:
    """`2026-12-01 14:05 UTC` from seconds since 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
