"""Backoff: how long to wait before an engine that crashed is started again."""

from __future__ import annotations

FIRST = 0.5
"""Seconds before the first restart; doubled with each further one."""
HELD_AFTER = 5
"""Crashes in a row after which it is held: loading a model again and again helps nobody."""
HOLD = 300.0
"""Seconds that it is then held, each time."""
HEALTHY_AFTER = 60.0
"""Seconds of uptime after which a crash is the first one again."""


class Backoff:
    """Counts crashes in a row.

    Attributes:
        crashes: how many there were.
    """

    def __init__(self) -> None:
        self.crashes = 0

    def crashed(self, uptime: float) -> float:
        """Seconds to wait before the next start, after a run of `uptime` seconds."""
        if uptime > HEALTHY_AFTER:
            self.crashes = 0
        self.crashes += 1
        return HOLD if self.holds else FIRST * 2.0 ** (self.crashes - 1)

    @property
    def holds(self) -> bool:
        """It crashed so often that it is not tried again soon."""
        return self.crashes >= HELD_AFTER
