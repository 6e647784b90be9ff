"""Connection: uvicorn's HTTP/1.1 with deadlines."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_llama.api.errors import ServerFull, ServerStopping, error_response
from edge_llama.api.http.deadline import Deadline
from edge_llama.api.http.lingering import LingeringTransport
from edge_llama.api.http.open_connections import OpenConnections
from edge_llama.api.http.strict_http import MAX_HEADER_BYTES, StrictHTTP
from edge_llama.settings.server import Limits

LEAVING_SECONDS = 2.0
"""How long a client that is turned away has to say what it wants, and then to read why not."""

MAX_DISCARDED = 16 * 1024 * 1024
"""Bytes that are read from such a client meanwhile, and forgotten."""

FULL = ServerFull("The server has too many connections. Try again later.")
CLOSE_HEADER = (b"connection", b"close")

_AT_REST = {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}


class ConnectionConfig(uvicorn.Config):
    """uvicorn's settings, with what `Connection` needs to know besides.

    Args:
        app: what answers requests.
        limits: the deadlines.
        open_connections: where all are entered.
        options: uvicorn's.
    """

    def __init__(
        self, app: Starlette, limits: Limits, open_connections: OpenConnections, **options: Any
    ) -> None:
        super().__init__(
            _LeaveWhenCrowded(app, open_connections),
            # httptools loses the body behind an ignored Upgrade, overlooks disconnects behind
            # pipelined requests, and takes headers of any length.
            http=Connection,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]
            **options,
        )
        self.limits = limits
        self.open_connections = open_connections


class Connection(H11Protocol):
    """One client. It is closed when it takes too long, at either end.

    ```
    connected ─┬─ receive_seconds ─→ request whole ─→ answered ─┬─ idle_seconds ─→ closed
               └─ 408, closed                                   └─ next request
    ```

    What is ready to be sent and not read for `stalled_seconds` ends the connection too. Nothing is
    buffered here beyond the one write that the kernel did not take.
    """

    __slots__ = (
        "_discarded",
        "_leaving",
        "_limits",
        "_open_connections",
        "_quiet_since",
        "_receiving",
        "_socket",
        "_stalled",
        "_turned_away",
    )

    def __init__(self, config: ConnectionConfig, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self.conn: StrictHTTP = StrictHTTP()
        self._limits = config.limits
        self._open_connections = config.open_connections
        self._quiet_since = 0.0
        self._turned_away = False
        self._discarded = 0
        self._receiving = Deadline()
        self._stalled = Deadline()
        self._leaving = Deadline()

    @property
    def resting_since(self) -> float | None:
        """See `ClientConnection`."""
        resting = (
            self.conn.states == _AT_REST
            and not self.conn.expects_more
            and not self.transport.get_write_buffer_size()
        )
        return self._quiet_since if resting else None

    def close(self) -> None:
        """Close when all is sent; a client that still sends gets some time to read it."""
        if self.conn.expects_more and not self._turned_away:
            self._linger()
        elif not self._turned_away:
            self._socket.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._socket = transport
        self.transport = LingeringTransport(transport, self.close)  # type: ignore[assignment]
        transport.set_write_buffer_limits(high=0)
        self._quiet_since = time.monotonic()
        if not self._open_connections.add(self):
            self.app = _tell_full
            self._leaving.start(LEAVING_SECONDS, self._leave)
        self._receive()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._receiving, self._stalled, self._leaving):
            timer.stop()
        self._unset_keepalive_if_required()
        # The transport knows this connection, which must not be kept by a request that goes on.
        self.transport.close = self._socket.close  # type: ignore[method-assign]
        self.transport = self._socket
        super().connection_lost(exc)
        self._open_connections.remove(self)

    def data_received(self, data: bytes) -> None:
        if not self._turned_away:
            super().data_received(data)
            return
        self._discarded += len(data)
        if self._discarded > MAX_DISCARDED:
            self._abort()

    def handle_events(self) -> None:
        super().handle_events()
        if self._turned_away or not self.conn.expects_more:
            self._receiving.stop()
        else:
            self._receive()

    def on_response_complete(self) -> None:
        self._quiet_since = time.monotonic()
        # A client at rest costs half as much without its last request.
        self.scope = self.headers = self.cycle = None  # type: ignore[assignment]
        super().on_response_complete()

    def shutdown(self) -> None:
        if self.conn.holds_back:
            self._refuse(ServerStopping("The server is stopping."))
            self.close()
        elif not self._turned_away:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled.start(self._limits.stalled_seconds, self._abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled.stop()

    def _should_upgrade(self) -> bool:
        """Never; uvicorn would tell the log at each such request what to install."""
        return False

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPException(400, "This is not a valid HTTP/1.1 request."))

    def _receive(self) -> None:
        self._receiving.start(self._limits.receive_seconds, self._receiving_takes_too_long)

    def _leave(self) -> None:
        if self.conn.expects_more:
            self._refuse(FULL)
        else:
            self.close()

    def _receiving_takes_too_long(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.conn.expects_more:
            self.close()
        else:
            seconds = self._limits.receive_seconds
            self._refuse(HTTPException(408, f"The request was not whole after {seconds:g} s."))

    def _refuse(self, error: Exception) -> None:
        """Answer in place of the app, unless it has begun to."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._turn_away(error)
        else:
            self._abort()

    def _turn_away(self, error: Exception) -> None:
        """Answer, read nothing more, and close once the client has seen it.

        Closing at once would reset the connection, and the answer could be lost.
        """
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        response = error_response(error)
        headers = [*response.raw_headers, CLOSE_HEADER]
        self.transport.write(
            b"HTTP/1.1 %d \r\n%b\r\n%b"
            % (
                response.status_code,
                b"".join(b"%b: %b\r\n" % header for header in headers),
                bytes(response.body),
            )
        )
        self._linger()

    def _linger(self) -> None:
        """Say nothing more, and forget what comes, until the client closes or time is up."""
        self._turned_away = True
        self._receiving.stop()
        self._unset_keepalive_if_required()
        if self._socket.can_write_eof():
            self._socket.write_eof()
        self._socket.resume_reading()
        self._leaving.stop()
        self._leaving.start(LEAVING_SECONDS, self._abort)

    def _abort(self) -> None:
        self.transport.abort()


async def _tell_full(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers when the request is whole; what is not read would reset the connection."""
    while (await receive()).get("more_body", False):
        pass
    response = error_response(FULL)
    response.headers["connection"] = "close"
    await response(scope, receive, send)


class _LeaveWhenCrowded:
    """The app, whose answers end their connections while hardly any place is free."""

    def __init__(self, app: ASGIApp, open_connections: OpenConnections) -> None:
        self._app = app
        self._open_connections = open_connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_leave(message: Message) -> None:
            if message["type"] == "http.response.start" and self._open_connections.crowded:
                message = {**message, "headers": [*message["headers"], CLOSE_HEADER]}
            await send(message)

        await self._app(scope, receive, send_and_leave)
