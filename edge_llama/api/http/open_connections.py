"""Open connections: how many there may be, and whom a newcomer replaces."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

SURPLUS = 8
"""Connections beyond the most, of clients that leave."""
COMFORTABLE = 160
"""With more connections than that, none is kept for the next request: they cost memory, and
Python does not give all of it back.
"""
REST_SECONDS = 1.0
"""A client that was answered just now may be about to send its next request."""


class ClientConnection(Protocol):
    """One end of a connection."""

    @property
    def resting_since(self) -> float | None:
        """`time.monotonic()` of its last answer, or of its arrival; None if a request has begun."""

    def close(self) -> None: ...


class OpenConnections:
    """Up to `most` clients that are served, and a few that leave.

    ```
    newcomer ─┬─ there is a place ──────────────────────────→ served
              ├─ a client rests: it has to leave ───────────→ served
              ├─ few are leaving: it is told why and leaves
              └─ many are leaving: it waits in the kernel's queue
    ```

    Args:
        most: how many are served.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._comfortable = min(COMFORTABLE, most * 3 // 4)
        self._served: set[ClientConnection] = set()
        self._leaving: set[ClientConnection] = set()
        self._one_left = asyncio.Event()

    @property
    def crowded(self) -> bool:
        """Whoever is answered should leave."""
        return len(self._served) > self._comfortable

    async def room(self) -> None:
        """Wait until one more can be opened."""
        while len(self._served) + len(self._leaving) >= self._most + SURPLUS:
            self._one_left.clear()
            await self._one_left.wait()

    def add(self, newcomer: ClientConnection) -> bool:
        """Whether it is served; if not, it is to leave."""
        served = len(self._served) < self._most or self._dismiss_one()
        (self._served if served else self._leaving).add(newcomer)
        return served

    def remove(self, client: ClientConnection) -> None:
        """It has left."""
        self._served.discard(client)
        self._leaving.discard(client)
        self._one_left.set()

    def _dismiss_one(self) -> bool:
        """Close the connection that has been at rest for longest, if one has been for long."""
        resting = {
            each: since for each in self._served if (since := each.resting_since) is not None
        }
        if not resting:
            return False
        client = min(resting, key=resting.__getitem__)
        if time.monotonic() - resting[client] < REST_SECONDS:
            return False
        self._served.remove(client)
        self._leaving.add(client)
        client.close()
        return True
