"""Runs the app under uvicorn."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil
import uvicorn
from starlette.applications import Starlette
from uvicorn.server import HANDLED_SIGNALS

from edge_llama.api.http.acceptor import Acceptor
from edge_llama.api.http.connection import Connection, ConnectionConfig
from edge_llama.api.http.disconnect import cancel
from edge_llama.api.http.heap import give_back_large_blocks
from edge_llama.api.http.open_connections import OpenConnections
from edge_llama.api.http.open_files import connections_that_files_allow
from edge_llama.api.state.app_state import state_of
from edge_llama.errors import EdgeLlamaError, SettingsError
from edge_llama.settings.server import Limits, ServerSettings

BACKLOG = 2048
SEND_BUFFER = 64 * 1024
SILENT_SECONDS = 1
"""How long Linux keeps a connection whose client says nothing, at no cost to this process."""
CLOSING_SECONDS = 1
"""How long what still runs after the drain may take to end with an error."""
DRAIN_TICK = 0.05
TURN_SECONDS = 0.001
"""How long a thread may compute, such as on a large body, while the event loop waits: Python's own
5 ms add up, as a token of a stream takes several turns.
"""
DATE_SECONDS = 1.0
"""How old the Date of a response may be."""
HANGUP: int | None = getattr(signal, "SIGHUP", None)
"""Windows has none."""


def serve(
    app: Starlette,
    settings: ServerSettings,
    on_serving: Callable[[str, int], None] = lambda host, port: None,
) -> None:
    """Serve `app` until a signal: the first lets running requests end, the second does not.

    SIGHUP, of a terminal that was closed, is never the second: it tends to come twice, or after
    SIGTERM. It does nothing if it was ignored at the start, as `nohup` has it.

    The address is taken before anything else is started. While running requests end,
    `stopping` of its state is set, so that the app refuses others and is not ready any more.

    Args:
        app: what to serve.
        settings: where, and how it ends.
        on_serving: told host and port as soon as requests are answered.

    Raises:
        SettingsError: the address cannot be listened on.
        EdgeLlamaError: the app could not be started.
    """
    listener = bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    server = _Server(app, settings, lambda: on_serving(settings.host, port))
    sys.setswitchinterval(TURN_SECONDS)
    give_back_large_blocks()
    with listener:
        try:
            server.run(sockets=[listener])
        except SystemExit:
            raise EdgeLlamaError("The server could not start; its log says why.") from None


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 picks a free port.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(_bind_failure(host, port, error)) from None
    # Connections inherit it. The kernel would grow it to megabytes for a client that does not read.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if sys.platform == "linux":
        # Of many clients that come at once, none is accepted before there is something to read.
        # Kernels that only imitate Linux may not know it, and need not.
        with suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SILENT_SECONDS)
    return listener


def _bind_failure(host: str, port: int, error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"`host` {host} is not an address of this machine."
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use by another program. "
            "Stop it, or choose another `port`; 0 picks a free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights. Choose a `port` above 1023."
    return f"Cannot listen on {host} port {port}: {error.strerror}."


def _config(app: Starlette, limits: Limits) -> ConnectionConfig:
    return ConnectionConfig(
        app,
        limits,
        OpenConnections(limits.max_connections or connections_that_files_allow()),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )


class _Server(uvicorn.Server):
    """uvicorn's, but with an `Acceptor`; it drains, and ends with status 0 after a signal."""

    config: ConnectionConfig

    def __init__(
        self, app: Starlette, settings: ServerSettings, on_started: Callable[[], None]
    ) -> None:
        super().__init__(_config(app, settings.limits))
        self._app = app
        self._drain_seconds = settings.drain_timeout
        self._parent = psutil.Process(os.getppid()) if settings.exit_with_parent else None
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        assert sockets is not None
        [listener] = sockets
        acceptor = Acceptor(listener, self._connection, self.config.open_connections)
        self._accepting = asyncio.create_task(acceptor.run())
        self._on_started()

    def _connection(self) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state)

    async def main_loop(self) -> None:
        # uvicorn's looks ten times a second whether it should end, which keeps the CPU awake.
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(counter=0):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), DATE_SECONDS)
            self._follow_parent()
        await self._drain()

    async def _drain(self) -> None:
        """Go on listening, so that new requests get an answer, until the running ones have ended.

        The load balancer of a server that just closes its port sees errors.
        """
        state_of(self._app).stopping = True
        deadline = time.monotonic() + self._drain_seconds
        while self.server_state.tasks and not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(DRAIN_TICK)
            self._follow_parent()

    def _follow_parent(self) -> None:
        """End at once when the parent has ended."""
        parent = self._parent
        if parent is not None and (os.getppid() != parent.pid or not parent.is_running()):
            self.should_exit = self.force_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await cancel(self._accepting)
        await super().shutdown(sockets)
        requests = set(self.server_state.tasks)
        if self.force_exit:
            # uvicorn leaves this out, but clients are to be told and the engines to be stopped.
            for request in requests:
                request.cancel()
            await self.lifespan.shutdown()
        if requests:
            await asyncio.wait(requests, timeout=CLOSING_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers: list[int] = list(HANDLED_SIGNALS)
        if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
            numbers.append(HANGUP)
        previous = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig != HANGUP:
            self.force_exit = True
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._signalled.set)
