"""Acceptor: takes connections from a listening socket as long as there is room."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from edge_llama.api.http.open_connections import OpenConnections

RETRY_SECONDS = 0.1
CROWDED_SECONDS = 0.002
"""Between two newcomers to a crowd, so that most of it is answered before the rest takes memory."""

logger = logging.getLogger(__name__)


class Acceptor:
    """Where there is no room, clients wait in the kernel's queue.

    The event loops' own servers accept whatever comes, and without file descriptors uvloop's closes
    it at once.

    Args:
        listener: a listening socket.
        protocol: makes what talks to a client.
        connections: those that are open.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        connections: OpenConnections,
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._protocol = protocol
        self._connections = connections

    async def run(self) -> None:
        """Accept until cancelled."""
        told = False
        while True:
            await self._connections.room()
            if self._connections.crowded:
                await asyncio.sleep(CROWDED_SECONDS)
            try:
                await self._accept()
                told = False
            except ConnectionError:  # it was gone before it was accepted
                continue
            except OSError as error:
                if not told:
                    logger.warning("Connections cannot be accepted: %s", error)
                told = True
                await asyncio.sleep(RETRY_SECONDS)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        client, _ = await loop.sock_accept(self._listener)
        try:
            await loop.connect_accepted_socket(self._protocol, client)
        except BaseException:
            client.close()
            raise
