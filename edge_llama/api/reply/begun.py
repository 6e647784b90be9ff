"""Begun: what runs for a request that was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Work = TypeVar("Work")


@dataclass(frozen=True)
class Begun(Generic[Work]):
    """What runs for a request that was accepted.

    Attributes:
        work: what gives the answer.
        headers: what the response tells of it besides.
    """

    work: Work
    headers: Mapping[str, str] = field(default_factory=dict)
