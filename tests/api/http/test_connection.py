from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from edge_llama.api.errors import BodyTooLarge, error_response
from edge_llama.api.http.connection import LEAVING_SECONDS, Connection, ConnectionConfig
from edge_llama.api.http.open_connections import OpenConnections
from edge_llama.api.http.strict_http import MAX_HELD_BYTES
from edge_llama.settings.server import Limits
from tests.virtual_time import sockets_in_virtual_time

SHORT = Limits(receive_seconds=0.3, idle_seconds=0.3, stalled_seconds=0.3)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
REFUSED = POST.replace(b"/ ", b"/refusing ", 1)


async def _length(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        return Response(status_code=499)


async def _refuse(request: Request) -> Response:
    return error_response(BodyTooLarge("The body is too large."))


async def _endless(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(0)
                yield b"x" * 16384
        finally:
            request.app.state.ended.set()

    return StreamingResponse(parts())


class Listening:
    """A server in this event loop, and its open connections."""

    def __init__(self, limits: Limits, max_connections: int) -> None:
        self.app = Starlette(
            routes=[
                Route("/", _length, methods=["GET", "POST"]),
                Route("/refusing", _refuse, methods=["POST"]),
                Route("/endless", _endless),
            ]
        )
        self.app.state.ended = asyncio.Event()
        self.config = ConnectionConfig(
            self.app,
            limits,
            OpenConnections(max_connections),
            log_config=None,
            access_log=False,
            lifespan="off",
        )
        self.config.load()
        self.state = ServerState()
        self.port = 0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, data: bytes) -> bytes:
        """All that comes back until the connection is closed."""
        reader, writer = await self.connect()
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer


@asynccontextmanager
async def listening(limits: Limits = SHORT, max_connections: int = 100) -> AsyncIterator[Listening]:
    it = Listening(limits, max_connections)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(it.config, it.state, {}), "127.0.0.1", 0
    )
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        for connection in list(it.state.connections):
            assert isinstance(connection, Connection)
            connection.transport.abort()
        await asyncio.sleep(0.01)
        assert it.state.connections == set()


def status_of(answer: bytes) -> int:
    """Of an error: its body is checked too."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower()
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    return int(head.split()[1])


@pytest.mark.parametrize(
    "begun",
    [
        GET[:20],
        GET[:-2],
        POST + b"Content-Length: 10\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        GET + GET[:20],
    ],
)
@sockets_in_virtual_time
async def test_a_request_that_takes_too_long_is_answered_and_closed(begun: bytes) -> None:
    async with listening(Limits(receive_seconds=0.3)) as server:
        answer = await server.exchange(begun)
    assert status_of(answer[answer.rindex(b"HTTP/1.1 ") :]) == 408


@sockets_in_virtual_time
async def test_bytes_now_and_then_do_not_help() -> None:
    async with listening() as server:
        reader, writer = await server.connect()
        for byte in GET[:10]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)
        assert status_of(await reader.read()) == 408
        writer.close()


@pytest.mark.parametrize("said", [b"", GET])
@sockets_in_virtual_time
async def test_a_silent_connection_is_closed(said: bytes) -> None:
    async with listening() as server:
        answer = await server.exchange(said)
    assert answer.count(b"HTTP/1.1 200") == bool(said)


@sockets_in_virtual_time
async def test_a_whole_request_is_not_hurried() -> None:
    async with listening() as server:
        reader, writer = await server.connect()
        for _ in range(3):
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n0")
            await asyncio.sleep(0.2)
        writer.close()


@sockets_in_virtual_time
async def test_a_client_that_does_not_read_is_dropped() -> None:
    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(GET.replace(b"/ ", b"/endless "))
        await asyncio.wait_for(server.app.state.ended.wait(), 5)
        [*connections] = server.state.connections
        assert connections == []
        writer.close()
        del reader


@sockets_in_virtual_time
async def test_a_client_that_reads_slowly_is_kept() -> None:
    async with listening(Limits(stalled_seconds=0.5)) as server:
        reader, writer = await server.connect()
        writer.write(GET.replace(b"/ ", b"/endless "))
        for _ in range(8):
            await reader.readexactly(2_000_000)
            await asyncio.sleep(0.1)
        assert not server.app.state.ended.is_set()
        writer.close()


@sockets_in_virtual_time
async def test_one_too_many_is_told_so_when_its_request_is_whole() -> None:
    async with listening(max_connections=2) as server:
        first, second = await server.connect(), await server.connect()
        await asyncio.sleep(0.01)
        reader, writer = await server.connect()
        writer.write(POST + b"Content-Length: 10\r\n\r\nabcde")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.write(b"fghij")
        answer = await asyncio.wait_for(reader.read(), 0.5)
        assert status_of(answer) == 503
        assert b"\r\nretry-after: 1\r\n" in answer
        writer.close()
        for reader, writer in (first, second):
            writer.write(GET)
            assert b"200" in await reader.readline()
            writer.close()
        await asyncio.sleep(0.1)
        assert b"200 OK" in await server.exchange(GET)


@pytest.mark.parametrize(("begun", "status"), [(b"", None), (GET[:20], 503), (POST, 503)])
@sockets_in_virtual_time
async def test_one_too_many_does_not_stay(
    monkeypatch: pytest.MonkeyPatch, begun: bytes, status: int | None
) -> None:
    monkeypatch.setattr("edge_llama.api.http.connection.LEAVING_SECONDS", 0.1)
    async with listening(Limits(receive_seconds=5), max_connections=1) as server:
        _, writer = await server.connect()
        await asyncio.sleep(0.01)
        answer = await asyncio.wait_for(server.exchange(begun), 1)
        assert answer == b"" if status is None else status_of(answer) == status
        writer.close()


@sockets_in_virtual_time
async def test_an_idle_connection_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_llama.api.http.open_connections.REST_SECONDS", 0.0)
    async with listening(Limits(), max_connections=2) as server:
        idle, idle_out = await server.connect()
        busy, busy_out = await server.connect()
        idle_out.write(GET)
        assert b"200 OK" in await idle.readuntil(b"\r\n\r\n0")
        busy_out.write(POST + b"Content-Length: 3\r\n\r\na")
        await asyncio.sleep(0.01)
        reader, writer = await server.connect()
        writer.write(GET)
        assert b"200 OK" in await asyncio.wait_for(reader.readline(), 1)
        assert await asyncio.wait_for(idle.read(), 1) == b""
        busy_out.write(b"bc")
        assert b"200 OK" in await asyncio.wait_for(busy.readline(), 1)
        for out in (idle_out, busy_out, writer):
            out.close()


@sockets_in_virtual_time
async def test_answers_end_connections_when_places_run_short() -> None:
    async with listening(Limits(), max_connections=4) as server:
        others = [await server.connect() for _ in range(3)]
        answer = await server.exchange(GET)
        assert b"200 OK" in answer
        assert b"\r\nconnection: close\r\n" in answer.lower()
        for reader, writer in others:
            writer.write(GET)
            assert b"connection" not in (await reader.readuntil(b"\r\n\r\n")).lower()
            writer.close()


@pytest.mark.parametrize("said", [b"", GET, GET[:20], POST + b"Content-Length: 9\r\n\r\na", b"x"])
@sockets_in_virtual_time
async def test_what_a_connection_took_is_free_when_it_is_closed(said: bytes) -> None:
    """Without the garbage collector, which rests when the server does."""
    gc.collect()
    gc.disable()
    try:
        async with listening(Limits()) as server:
            _, writer = await server.connect()
            writer.write(said)
            await asyncio.sleep(0.05)
            [connection] = [weakref.ref(each) for each in server.state.connections]
            writer.close()
            await asyncio.sleep(0.05)
            assert server.state.connections == set()
            assert connection() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Content-Length: -3\r\n\r\nabcd",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  /  HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        GET[:-2] + b"X: " + b"a" * 70_000,
    ],
)
@sockets_in_virtual_time
async def test_what_can_be_read_in_two_ways_is_refused(
    bytes_sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as server:
        answer = await server.exchange(bytes_sent + GET)
    assert status_of(answer) in (400, 408)
    assert len(re.findall(rb"HTTP/1\.1 \d", answer)) == 1
    assert all(record.exc_info is None for record in caplog.records)


@sockets_in_virtual_time
async def test_nonsense_in_the_middle_of_an_answer_ends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening() as server:
        reader, writer = await server.connect()
        begin = POST.replace(b"POST / ", b"GET /endless ")
        writer.write(begin + b"Transfer-Encoding: chunked\r\n\r\n")
        await reader.readexactly(1000)
        writer.write(b"nonsense\r\n\r\n")
        await asyncio.wait_for(server.app.state.ended.wait(), 5)
        writer.close()
    assert all(record.exc_info is None for record in caplog.records)


@sockets_in_virtual_time
async def test_pipelined_requests_are_answered_in_turn() -> None:
    async with listening() as server:
        body = POST + b"Content-Length: 3\r\n\r\nabc"
        answer = await server.exchange(GET + body + GET)
    assert answer.count(b"200 OK") == 3
    assert [part.rpartition(b"\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]] == [
        b"0",
        b"3",
        b"0",
    ]


@sockets_in_virtual_time
async def test_a_small_request_begins_when_it_is_whole() -> None:
    async with listening(Limits()) as server:
        reader, writer = await server.connect()
        for part in (POST[:10], POST[10:], b"Content-Length: 4\r\n\r\n", b"ab", b"c"):
            writer.write(part)
            await asyncio.sleep(0.02)
            [connection] = server.state.connections
            assert isinstance(connection, Connection)
            assert connection.cycle is None
            assert server.state.tasks == set()
        writer.write(b"d" + GET)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n0"), 1)
        assert answer.count(b"200 OK") == 2
        assert b"\r\n\r\n4HTTP" in answer
        writer.close()


@pytest.mark.parametrize(
    "begun",
    [
        POST + b"Content-Length: %d\r\n\r\n" % (MAX_HELD_BYTES + 1),
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    ],
)
@sockets_in_virtual_time
async def test_other_requests_begin_with_their_head(begun: bytes) -> None:
    async with listening(Limits()) as server:
        _, writer = await server.connect()
        writer.write(begun)
        await asyncio.sleep(0.05)
        assert len(server.state.tasks) == 1
        writer.close()


@sockets_in_virtual_time
async def test_a_request_that_is_not_whole_is_told_of_the_shutdown() -> None:
    async with listening(Limits()) as server:
        reader, writer = await server.connect()
        writer.write(POST + b"Content-Length: 4\r\n\r\nab")
        await asyncio.sleep(0.05)
        [connection] = server.state.connections
        connection.shutdown()
        assert status_of(await asyncio.wait_for(reader.read(), 1)) == 503
        writer.close()


@sockets_in_virtual_time
async def test_half_closed_clients_get_their_answer() -> None:
    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(GET)
        writer.write_eof()
        assert b"200 OK" in await asyncio.wait_for(reader.read(), 5)
        writer.close()


@pytest.mark.parametrize("length", [b"", b"Connection: close\r\n"])
async def test_who_is_refused_while_sending_reads_why(length: bytes) -> None:
    size = 5 * 1024 * 1024
    head = REFUSED + length + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
    async with listening() as server:
        for _ in range(4):
            reader, writer = await server.connect()
            writer.write(head)
            writer.write(b"x" * size)
            await writer.drain()
            assert status_of(await asyncio.wait_for(reader.read(), 5)) == 413
            writer.close()


@sockets_in_virtual_time
async def test_a_refused_client_that_goes_on_is_cut_off() -> None:
    head = REFUSED + b"Content-Type: application/json\r\nContent-Length: 9000000000\r\n\r\n"
    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(head)
        assert status_of(await reader.read()) == 413
        assert len(server.state.connections) == 1
        await asyncio.sleep(LEAVING_SECONDS + 0.1)
        assert not server.state.connections
        writer.close()
