"""MinuteWindow: how much was used in the last 60 seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

WINDOW = 60
"""Seconds."""


class MinuteWindow:
    """Counts by whole seconds, of which none is forgotten before all of it is 60 seconds old.

    ```
         forgotten │ 60 seconds            │
    ──┬───┬───┬───┬┴──┬───┬───┬─ ─ ─┬───┬──▼──┬──▶ time
      │ 3 │ 0 │ 2 │ 7 │ 1 │   │     │ 4 │ now │
                    ╰── counts whole ──────────╯
    ```

    Args:
        counts: what was counted before, by second since 1970, in order.
    """

    def __init__(self, counts: Iterable[tuple[int, int]] = ()) -> None:
        self._counts = deque([second, count] for second, count in counts)
        self._total = sum(count for _, count in self._counts)

    def add(self, count: int, now: float) -> None:
        """Count at this moment; time that runs backwards counts as standing still."""
        second = int(now)
        if self._counts and self._counts[-1][0] >= second:
            self._counts[-1][1] += count
        else:
            self._counts.append([second, count])
        self._total += count

    def total(self, now: float) -> int:
        """What was counted in the last 60 seconds, or in a second that they begin in."""
        while self._counts and self._counts[0][0] + 1 + WINDOW <= now:
            self._total -= self._counts.popleft()[1]
        return self._total

    def seconds_until(self, room: int, limit: int, now: float) -> float:
        """When `room` more can be counted without going over `limit`; at once is 0.

        The whole window, if that needs what is not counted here to end.
        """
        excess = self.total(now) + room - limit
        for second, count in self._counts:
            if excess <= 0:
                break
            excess -= count
            if excess <= 0:
                return max(0.0, second + 1 + WINDOW - now)
        return 0.0 if excess <= 0 else float(WINDOW)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((second, count) for second, count in self._counts)
