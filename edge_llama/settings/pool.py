"""PoolSettings: which models stay in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Which models stay in memory.

    Attributes:
        memory: bytes that all loaded models may need together; None sets no limit.
        keep_alive: seconds that a model stays loaded after its last use; None is for ever.
        turn: seconds that a model in use goes on taking requests while another one waits for its
            memory.
        patience: seconds that a request waits for other models to make room.
        first_backoff: seconds before a model that could not be loaded is tried again; doubled
            with each further failure.
        max_backoff: most seconds before it is tried again.
    """

    memory: int | None = None
    keep_alive: float | None = 600.0
    turn: float = 30.0
    patience: float = 120.0
    first_backoff: float = 1.0
    max_backoff: float = 60.0
