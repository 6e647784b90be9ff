"""One ASGI request driven by hand: chunked bodies, disconnects, and every message seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import ASGIApp, Message

from tests.effort import PATIENCE


class AsgiCall:
    """A running POST. The client stays until `disconnect`.

    Args:
        app: what is called.
        path: where.
        body: sent in these pieces.
        headers: besides the content type.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str = "/v1/chat/completions",
        body: Sequence[bytes] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.sent: list[Message] = []
        self.received = 0
        self._incoming: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": position < len(body) - 1}
            for position, piece in enumerate(body)
        ]
        self._gone = asyncio.Event()
        self._changed = asyncio.Event()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"content-type", b"application/json"), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    def disconnect(self) -> None:
        self._gone.set()

    async def finished(self) -> None:
        await asyncio.wait_for(self.task, PATIENCE)

    async def until_sent(self, data: bytes) -> None:
        """Wait until the body so far contains `data`."""
        while data not in self.body:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), PATIENCE)

    @property
    def status(self) -> int | None:
        starts = [message for message in self.sent if message["type"] == "http.response.start"]
        return starts[0]["status"] if starts else None

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    async def _receive(self) -> Message:
        if self._incoming:
            message = self._incoming.pop(0)
            self.received += len(message["body"])
            return message
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        self._changed.set()


def post(app: ASGIApp, body: dict[str, Any]) -> AsgiCall:
    return AsgiCall(app, body=[json.dumps(body).encode()])


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition()` holds; fails after a minute."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + PATIENCE
    while not condition():
        assert loop.time() < ends, "The condition was not met within a minute."
        await asyncio.sleep(0.001)
