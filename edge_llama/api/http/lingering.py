"""LingeringTransport: closes when the client has been told why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport:
    """A transport that its connection closes: a socket that is closed while the client still sends
    is reset, and the answer can be lost with it.

    Args:
        transport: what is written to and read from.
        leave: closes it, sooner or later.
    """

    __slots__ = ("_transport", "close", "write")

    def __init__(self, transport: asyncio.Transport, leave: Callable[[], None]) -> None:
        self._transport = transport
        self.write = transport.write
        self.close = leave

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
