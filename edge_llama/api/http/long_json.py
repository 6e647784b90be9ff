"""JSON answers that may be too long to be made at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge_llama.api.errors import ClientDisconnected, ServerStopping
from edge_llama.api.http.disconnect import unless_disconnected

WRITE_BYTES = 64 * 1024
"""A longer answer is sent in writes of about this size."""

logger = logging.getLogger(__name__)


def json_response(pieces: Iterable[bytes], headers: Mapping[str, str] | None = None) -> Response:
    """An answer of these pieces of JSON, each of which is made in a few milliseconds.

    A short answer is made here. Of a long one the next piece is made when the client has taken
    those before it, so that it needs little memory and holds up nobody.
    """
    writes = _joined(pieces)
    first = next(writes, b"")
    second = next(writes, None)
    if second is None:
        return Response(first, headers=headers, media_type="application/json")
    return _LongJSON(chain((first, second), writes), headers)


class _LongJSON(Response):
    """Sends writes as they are made; without a length, as nobody knows it."""

    media_type = "application/json"

    def __init__(self, writes: Iterator[bytes], headers: Mapping[str, str] | None) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self._writes = writes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        try:
            await unless_disconnected(receive, self._send_all(send))
        except (ClientDisconnected, ServerStopping) as error:
            # Its end is not sent, by which a client sees that something is missing.
            logger.debug("A long answer was cut off: %r", error)

    async def _send_all(self, send: Send) -> None:
        for write in self._writes:
            await send({"type": "http.response.body", "body": write, "more_body": True})
            await asyncio.sleep(0)  # others' turn, even if the client takes all at once
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at least `WRITE_BYTES`, but for the last."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= WRITE_BYTES:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield b"".join(waiting)
