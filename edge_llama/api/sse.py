"""Server-sent events, as OpenAI's clients read them: `data:` lines only, LF, ASCII JSON."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge_llama.api.disconnect import cancel, unless_disconnected
from edge_llama.api.errors import ClientDisconnected, ServerStopping, error_body, log_error

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b"\n"
HIGH_WATER = 64 * 1024
"""Bytes that may wait for a slow client before its stream stops being formatted."""
LAST_WORDS_SECONDS = 1
"""How long a server that stops waits for a client to take the error."""

logger = logging.getLogger(__name__)


def frame(value: Any) -> bytes:
    """One event. Its JSON is ASCII: some clients split lines at U+0085 and U+2028 too."""
    return b"data: %b\n\n" % json.dumps(value, separators=(",", ":")).encode("ascii")


class EventStream(Response):
    """Sends frames as they come, everything that is ready in one write.

    The headers go out at once. An error becomes a last frame with an `error` object. When the
    client goes away, `frames` is cancelled and `owner` is left at once.

    Args:
        frames: what to send.
        owner: what makes the frames; entered for as long as the stream lasts.
        keep_alive: seconds of silence after which a bare newline is sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        *,
        owner: AbstractAsyncContextManager[Any],
        keep_alive: float,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._frames = frames
        self._owner = owner
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._owner:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            try:
                await unless_disconnected(receive, self._send_all(send))
            except ClientDisconnected:
                logger.debug("The client left before the end of its stream.")
            except ServerStopping as error:
                await _send_last(send, frame(error_body(error)))

    async def _send_all(self, send: Send) -> None:
        outbox = _Outbox()
        pump = asyncio.create_task(self._pump(outbox))
        try:
            while (batch := await outbox.take(self._keep_alive)) is not None:
                await _send_body(send, batch or KEEP_ALIVE, more=True)
            await _send_body(send, b"", more=False)
        finally:
            await cancel(pump)

    async def _pump(self, outbox: _Outbox) -> None:
        try:
            async for event in self._frames:
                await outbox.put(event)
        except Exception as error:
            log_error(error)
            await outbox.put(frame(error_body(error)))
        finally:
            outbox.close()


class _Outbox:
    """Frames between the task that makes them and the task that sends them."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size = 0
        self._closed = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, event: bytes) -> None:
        """Add a frame; waits while more than `HIGH_WATER` bytes are unsent."""
        self._frames.append(event)
        self._size += len(event)
        self._wake.set()
        if self._size > HIGH_WATER:
            self._room.clear()
            await self._room.wait()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def take(self, patience: float) -> bytes | None:
        """All frames there are; empty after `patience` seconds without one, None at the end."""
        timer = asyncio.get_running_loop().call_later(patience, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
        self._wake.clear()
        batch = b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        self._room.set()
        if self._closed:
            self._wake.set()
            return batch or None
        return batch


async def _send_body(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _send_last(send: Send, body: bytes) -> None:
    """End the response with `body`, unless the client does not take it in time."""
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, task.cancel)
    try:
        await _send_body(send, body, more=False)
    except asyncio.CancelledError:
        logger.debug("A client did not take the last bytes of its stream.")
    finally:
        timer.cancel()
