"""Deadline: by when a client must have done its part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls something later, unless it is stopped by then."""

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float, expire: Callable[[], None]) -> None:
        """Does nothing if it runs already."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(seconds, expire)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
