"""Server-sent events, as OpenAI's and Anthropic's clients read them: LF, ASCII JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge_llama.api.errors import ClientDisconnected, ServerStopping, error_body, log_error
from edge_llama.api.http.disconnect import cancel, unless_disconnected
from edge_llama.api.http.written_list import json_pieces

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b"\n"
HIGH_WATER = 16 * 1024
"""Bytes that may wait for a slow client before its stream stops being formatted."""
LAST_WORDS_SECONDS = 1
"""How long a server that stops waits for a client to take the error."""

logger = logging.getLogger(__name__)


def frame(value: Mapping[str, object]) -> bytes:
    """One event. Its JSON is ASCII: some clients split lines at U+0085 and U+2028 too."""
    return b"data: %b\n\n" % b"".join(json_pieces(value, ensure_ascii=True))


def named_frame(name: str, value: Mapping[str, object]) -> bytes:
    """One event with a name, as OpenAI's Responses API and Anthropic's have them."""
    return b"event: %b\n%b" % (name.encode("ascii"), frame(value))


def error_frame(error: Exception) -> bytes:
    """OpenAI's last frame of a stream that `error` ends."""
    return frame(error_body(error))


@dataclass(frozen=True, slots=True)
class AcceptedStream:
    """A stream of which nothing is going to be refused any more: the headers may go out.

    Attributes:
        frames: what to send.
        headers: more of them.
    """

    frames: AsyncGenerator[bytes, None]
    headers: Mapping[str, str] = field(default_factory=dict)


class EventStream(Response):
    """Sends frames as they come, everything that is ready in one write.

    The headers go out when `stream` is entered, or after `keep_alive` seconds, then without those
    of the stream. Until then an error is raised, so that it gets its own status; later `failure`
    tells it. When the client goes away, `stream` is left at once.

    Args:
        stream: entered for as long as its frames are sent.
        keep_alive: seconds of silence after which a bare newline is sent.
        failure: the last bytes of a stream that an error ends.

    Raises:
        Exception: of `stream`, before the headers went out.
        ClientDisconnected: the client went away before that.
        ServerStopping: the server ended the request before that.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        stream: AbstractAsyncContextManager[AcceptedStream],
        *,
        keep_alive: float,
        failure: Callable[[Exception], bytes] = error_frame,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._stream = stream
        self._keep_alive = keep_alive
        self._failure = failure
        self._late_headers: Mapping[str, str] = {}
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_disconnected(receive, self._send_all(send))
        except ClientDisconnected:
            if not self._begun:
                raise
            logger.debug("The client left before the end of its stream.")
        except ServerStopping as error:
            if not self._begun:
                raise
            await _send_last(send, self._failure(error))

    async def _send_all(self, send: Send) -> None:
        outbox = _Outbox()
        pump = asyncio.create_task(self._pump(outbox))
        try:
            batch = await outbox.take(self._keep_alive)
            if batch is None:
                await pump
            await self._begin(send)
            if batch:
                await _send_body(send, batch, more=True)
            while (batch := await outbox.take(self._keep_alive)) is not None:
                await _send_body(send, batch or KEEP_ALIVE, more=True)
            await _send_body(send, await self._ending(pump), more=False)
        finally:
            await cancel(pump)

    async def _begin(self, send: Send) -> None:
        self._begun = True
        self.headers.update(self._late_headers)
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _ending(self, pump: asyncio.Task[None]) -> bytes:
        """The last bytes of a stream whose frames have ended."""
        try:
            await pump
        except Exception as error:
            log_error(error)
            return self._failure(error)
        return b""

    async def _pump(self, outbox: _Outbox) -> None:
        try:
            async with self._stream as accepted, aclosing(accepted.frames) as frames:
                self._late_headers = accepted.headers
                outbox.wake()
                async for event in frames:
                    await outbox.put(event)
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

    def wake(self) -> None:
        """Have `take` answer, though there may be no frame yet."""
        self._wake.set()

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
