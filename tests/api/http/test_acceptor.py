from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge_llama.api.http import acceptor, open_connections
from edge_llama.api.http.acceptor import Acceptor
from edge_llama.api.http.disconnect import cancel
from edge_llama.api.http.open_connections import OpenConnections
from tests.virtual_time import sockets_in_virtual_time


class Greeting(asyncio.Protocol):
    """Says whether there is a place."""

    resting_since = None

    def __init__(self, connections: OpenConnections) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"served" if self._connections.add(self) else b"full")

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)

    def close(self) -> None:
        self._transport.close()


class FailingOnce(socket.socket):
    """A listening socket that finds no file descriptor the first time."""

    failed = False

    def accept(self) -> tuple[socket.socket, object]:
        if not self.failed:
            self.failed = True
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@asynccontextmanager
async def accepting(
    most: int, kind: type[socket.socket] = socket.socket
) -> AsyncIterator[tuple[str, int]]:
    connections = OpenConnections(most)
    with kind() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        accepts = Acceptor(listener, lambda: Greeting(connections), connections)
        task = asyncio.create_task(accepts.run())
        try:
            yield listener.getsockname()
        finally:
            await cancel(task)


async def _said(reader: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(reader.read(100), 0.3)).decode()


@sockets_in_virtual_time
async def test_who_finds_no_room_waits_until_somebody_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_connections, "SURPLUS", 1)
    async with accepting(most=1) as address:
        (one, out), (two, out_2), (three, out_3) = [
            await asyncio.open_connection(*address) for _ in range(3)
        ]
        assert await _said(one) == "served"
        assert await _said(two) == "full"
        with pytest.raises(asyncio.TimeoutError):
            await _said(three)
        out.close()
        assert await _said(three) == "served"
        out_2.close()
        out_3.close()


@sockets_in_virtual_time
async def test_accepting_goes_on_after_descriptors_ran_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with accepting(8, FailingOnce) as address:
        reader, writer = await asyncio.open_connection(*address)
        assert await _said(reader) == "served"
        writer.close()
    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "Too many open files" in record.getMessage()
    assert record.exc_info is None


@sockets_in_virtual_time
async def test_a_client_that_is_gone_already_harms_nobody() -> None:
    async with accepting(8) as address:
        for _ in range(20):
            gone = socket.create_connection(address)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()
        reader, writer = await asyncio.open_connection(*address)
        assert await _said(reader) == "served"
        writer.close()


@sockets_in_virtual_time
async def test_a_crowd_grows_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "CROWDED_SECONDS", 0.45)
    async with accepting(most=8) as address:
        clients = [await asyncio.open_connection(*address) for _ in range(8)]
        *comfortable, (late, _) = clients
        for reader, _ in comfortable:
            assert await _said(reader) == "served"
        with pytest.raises(asyncio.TimeoutError):
            await _said(late)
        assert await _said(late) == "served"
        for _, writer in clients:
            writer.close()
            await writer.wait_closed()
