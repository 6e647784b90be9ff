"""Clients that do what no HTTP library does."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.abuse.alive import WatchedServer


def connect(server: WatchedServer, timeout: float = 60) -> socket.socket:
    return socket.create_connection(server.address, timeout=timeout)


@contextmanager
def connections(server: WatchedServer, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(connect(server)) for _ in range(count)]


def chat(body: dict[str, Any], headers: bytes = b"") -> bytes:
    """A chat request; `headers` are lines with their ends."""
    data = json.dumps(body).encode()
    return head(headers + b"Content-Length: %d\r\n" % len(data)) + data


def head(headers: bytes) -> bytes:
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\n%b\r\n" % headers
    )


def reset(connection: socket.socket) -> None:
    """Close with RST, as a killed client does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the other end closes or resets."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionError:
        pass
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
