"""What was used, by hour, key and model."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal, TypeAlias

HOUR = 3600
DAY = 24 * HOUR

GroupBy: TypeAlias = Literal["key", "model", "day", "hour"]

_GROUPS = {"key": "key", "model": "model", "day": f"hour / {DAY} * {DAY}", "hour": "hour"}


@dataclass(slots=True, kw_only=True)
class Spent:
    """What was used.

    Attributes:
        requests: those that a model accepted.
        prompt_tokens: cached ones too.
        cached_tokens: those of them that were not computed.
        completion_tokens: tokens of output.
        cents: by the prices of the models, as they were.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cents: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Spent) -> None:
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.completion_tokens += other.completion_tokens
        self.cents += other.cents


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one group used.

    Attributes:
        group: by what was grouped: a key's id, a model's, or the begin of a day or hour, UTC.
        usage: of all that is in it.
    """

    group: str
    usage: Spent


_SUMS = "SUM(requests), SUM(prompt_tokens), SUM(cached_tokens), SUM(completion_tokens), SUM(cents)"


def read_usage(
    connection: sqlite3.Connection,
    by: GroupBy,
    *,
    since: float = 0.0,
    until: float | None = None,
    key: str | None = None,
) -> list[UsageRow]:
    """What was used in whole hours, in groups, in their order.

    Args:
        by: the groups.
        since: the first hour is the one that this second is in.
        until: the first second that does not count; None is now.
        key: of this key's id only.
    """
    group = _GROUPS[by]
    rows = connection.execute(
        f"SELECT {group}, {_SUMS} FROM usage"  # noqa: S608
        " WHERE hour >= ? AND (? IS NULL OR hour < ?) AND (? IS NULL OR key = ?)"
        " GROUP BY 1 ORDER BY 1",
        (int(since) // HOUR * HOUR, until, until, key, key),
    )
    return [UsageRow(str(group), _usage(*sums)) for group, *sums in rows]


def add_usage(
    connection: sqlite3.Connection, hour: int, key: str, model: str, usage: Spent
) -> None:
    """Add to what the file has of that hour, key and model."""
    connection.execute(
        "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "requests = requests + excluded.requests, "
        "prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
        "cached_tokens = cached_tokens + excluded.cached_tokens, "
        "completion_tokens = completion_tokens + excluded.completion_tokens, "
        "cents = cents + excluded.cents",
        (
            *(hour, key, model, usage.requests, usage.prompt_tokens),
            *(usage.cached_tokens, usage.completion_tokens, usage.cents),
        ),
    )


def _usage(
    requests: int, prompt_tokens: int, cached_tokens: int, completion_tokens: int, cents: float
) -> Spent:
    return Spent(
        requests=requests,
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        completion_tokens=completion_tokens,
        cents=cents,
    )
