"""Runs the app under uvicorn."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import HANDLED_SIGNALS

from edge_llama.config import ServerSettings
from edge_llama.errors import EdgeLlamaError, SettingsError

BACKLOG = 2048
GRACE_SECONDS = 8
"""How long running requests may go on after the first signal; Docker kills after ten seconds."""
DATE_SECONDS = 1.0
"""How old the Date of a response may be."""


def serve(
    app: Starlette,
    settings: ServerSettings,
    on_serving: Callable[[str, int], None] = lambda host, port: None,
) -> None:
    """Serve `app` until a signal: the first lets running requests end, the second does not.

    The address is taken before anything else is started.

    Args:
        app: what to serve.
        settings: where.
        on_serving: told host and port as soon as requests are answered.

    Raises:
        SettingsError: the address cannot be listened on.
        EdgeLlamaError: the app could not be started.
    """
    listener = bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    server = _Server(_config(app), lambda: on_serving(settings.host, port))
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
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(_bind_failure(host, port, error)) from None


def _bind_failure(host: str, port: int, error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is not an address of this machine."
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use by another program. "
            "Stop it, or choose another with --port; 0 picks a free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights. Choose one above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {error.strerror}."


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # httptools loses the body behind an ignored Upgrade, overlooks disconnects behind pipelined
        # requests, and takes headers of any length.
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )


class _Server(uvicorn.Server):
    """uvicorn's, but it tells when it serves and ends with status 0 after a signal."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def main_loop(self) -> None:
        # uvicorn's looks ten times a second whether it should end, which keeps the CPU awake.
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(counter=0):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), DATE_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn leaves this out, but the engines are to be stopped all the same.
            await self.lifespan.shutdown()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._signalled.set)
