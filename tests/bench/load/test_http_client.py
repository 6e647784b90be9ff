"""The load generator's HTTP client against answers of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest

from edge_llama.bench.load.http_client import HTTPClient
from edge_llama.errors import EngineError, SettingsError

Serve: TypeAlias = Callable[[bytes], Coroutine[Any, Any, HTTPClient]]

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def answering(answer: bytes, requests: list[bytes]) -> AsyncIterator[HTTPClient]:
    """A client of a server that always answers with these bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield HTTPClient(f"http://127.0.0.1:{port}/v1")


def chunked(*parts: bytes) -> bytes:
    frames = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return STREAM_HEAD + frames + b"0\r\n\r\n"


async def collect(answer: bytes) -> list[Any]:
    async with answering(answer, []) as client:
        return [event async for event in client.events("/v1/chat/completions", {"n": 1})]


async def test_get_reads_json_and_asks_for_the_path() -> None:
    requests: list[bytes] = []
    async with answering(JSON_HEAD + b'{"data": [1]}', requests) as client:
        assert await client.get("/v1/models") == {"data": [1]}
    assert requests[0].startswith(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:")


BODY = b'data: {"a": 1}\n\n\n: comment\ndata: {"b": "\xc3\xbc"}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("cut", range(1, len(BODY)))
async def test_events_are_whole_wherever_chunks_are_cut(cut: int) -> None:
    assert await collect(chunked(BODY[:cut], BODY[cut:])) == [{"a": 1}, {"b": "ü"}]


async def test_events_of_a_body_that_ends_with_the_connection() -> None:
    assert await collect(b"HTTP/1.0 200 OK\r\n\r\n" + BODY) == [{"a": 1}, {"b": "ü"}]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\nno such model", "answered 404 .* no such model"),
        (chunked(b'data: {"error": {"message": "died"}}\n\n'), "broke off.*died"),
        (STREAM_HEAD + b"20\r\nhalf", "closed the connection"),
        (b"", "closed the connection"),
    ],
)
async def test_failures_are_told(answer: bytes, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        await collect(answer)


async def test_nobody_listens() -> None:
    async with answering(b"", []) as client:
        pass
    with pytest.raises(EngineError, match="does not answer"):
        await client.get("/v1/models")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--url"):
        HTTPClient(url)
