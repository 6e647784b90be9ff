"""A streaming HTTP/1.1 client of a few lines: it must not cost what is being measured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from edge_llama.errors import EngineError, SettingsError

DATA = b"data:"


class RequestRefused(EngineError):
    """The server answered with a status from 400 to 499."""


class HTTPClient:
    """Speaks JSON and server-sent events to one server, a connection per request.

    Args:
        url: e.g. `http://127.0.0.1:8000`, with or without `/v1`; `https` works too.
        key: sent as a Bearer token.

    Raises:
        SettingsError: it is no such address.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"--url must look like http://127.0.0.1:8000, not {url!r}.")
        self._host = parts.hostname
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._path = parts.path.removesuffix("/v1")
        self._key = key

    async def get(self, path: str) -> Any:
        """The JSON at `path`.

        Raises:
            EngineError: nobody answers, or the answer is an error.
            ValueError: the answer is no JSON.
        """
        return json.loads(await self.text(path))

    async def text(self, path: str) -> str:
        """The text at `path`.

        Raises:
            EngineError: nobody answers, or the answer is an error.
        """
        body = b"".join([chunk async for chunk in self._request("GET", path, b"")])
        return body.decode(errors="replace")

    async def events(self, path: str, body: dict[str, Any]) -> AsyncIterator[Any]:
        """Post JSON; the JSON of each event of the answer, as it arrives.

        Raises:
            RequestRefused: the server does not take this request.
            EngineError: nobody answers, or the answer is an error or breaks off.
        """
        buffer = b""
        async for chunk in self._request("POST", path, json.dumps(body).encode()):
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                data = line[len(DATA) :].strip()
                if not line.startswith(DATA) or data == b"[DONE]":
                    continue
                event = json.loads(data)
                if event.get("error"):
                    raise EngineError(f"The server broke off: {event['error']}")
                yield event

    async def _request(self, method: str, path: str, body: bytes) -> AsyncIterator[bytes]:
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        except OSError as error:
            raise EngineError(f"{self._host}:{self._port} does not answer: {error}") from error
        try:
            writer.write(self._head(method, path, len(body)) + body)
            status, chunked = await _read_head(reader)
            chunks = _read_chunks(reader) if chunked else _read_rest(reader)
            if status != 200:
                answer = b"".join([chunk async for chunk in chunks]).decode(errors="replace")
                kind = RequestRefused if 400 <= status < 500 else EngineError
                raise kind(f"The server answered {status} to {path}: {answer}")
            async for chunk in chunks:
                yield chunk
        except (OSError, EOFError) as error:
            raise EngineError("The server closed the connection within its answer.") from error
        finally:
            writer.close()

    def _head(self, method: str, path: str, length: int) -> bytes:
        key = f"Authorization: Bearer {self._key}\r\n" if self._key else ""
        return (
            f"{method} {self._path}{path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n"
            f"{key}Connection: close\r\n\r\n"
        ).encode()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status, and whether the body comes in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    return int(head.split()[1]), b"transfer-encoding: chunked" in head


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\n")).partition(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)


async def _read_rest(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """A body that ends with the connection, as it does after `Connection: close`."""
    while data := await reader.read(65536):
        yield data
