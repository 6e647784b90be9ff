"""Connections and load: cases 9 to 12 of what must hold."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.abuse.alive import GROWTH, SLACK, WatchedServer, check_error, until, watched
from tests.abuse.sockets import chat, connect, connections, head, read_all, reset, status_of
from tests.effort import PATIENCE

LONG = [{"role": "user", "content": "ab " * 4000}]
ENDLESS: dict[str, Any] = {"ignore_eos": True, "max_tokens": 100_000}


ALL_PHASES = [
    (phase, stream) for phase in ("queued", "prefill", "decode") for stream in (True, False)
]


@pytest.mark.parametrize(
    ("phase", "stream"),
    [
        ("prefill", False),
        ("decode", True),
        *(pytest.param(*it, marks=pytest.mark.abuse) for it in ALL_PHASES),
    ],
)
def test_a_reset_ends_the_request(server: WatchedServer, phase: str, stream: bool) -> None:
    body = server.body(stream=stream, **ENDLESS)
    if phase == "prefill":
        body["messages"] = LONG
    with connections(server, 12 if phase == "queued" else 4) as clients:
        for client in clients:
            client.sendall(chat(body))
        time.sleep(0.05 if phase == "prefill" else 0.4)
        for client in clients:
            reset(client)


@pytest.mark.abuse
def test_slow_senders_are_closed_and_harm_nobody(server: WatchedServer) -> None:
    """A few of them here; `test_500_slow_senders` has the rest."""
    _slow_senders(server, 40, seconds=2)


@pytest.mark.abuse
@pytest.mark.timeout(120)
def test_500_slow_senders(tiny_gguf: Path) -> None:
    with watched(str(tiny_gguf), "--ctx-size", "8192") as server, server.unharmed():
        _slow_senders(server, 500, seconds=29)
        assert server.answer()


def _slow_senders(server: WatchedServer, count: int, seconds: float) -> None:
    begun = head(b"Content-Length: 1000\r\n")
    times: list[float] = []
    with connections(server, count) as clients:
        for number, client in enumerate(clients):
            client.sendall(begun[:60] if number % 2 else begun)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            began = time.monotonic()
            server.answer()
            times.append(time.monotonic() - began)
            for client in clients:
                with suppress(ConnectionError):
                    client.send(b"x")
            time.sleep(1)
        assert max(times) < 1, times
        if seconds > 25:
            for client in clients:
                answer = read_all(client)
                assert answer == b"" or status_of(answer) == 408
            assert time.monotonic() < ends + 5


def test_clients_that_do_not_read_cost_little(server: WatchedServer) -> None:
    """A quarter of a megabyte each, and nobody's place; they are dropped after a minute."""
    held: dict[int, int] = {}
    with ExitStack() as stack:
        stalled: list[socket.socket] = []
        for count in (4, 16):
            while len(stalled) < count:
                message = {"role": "user", "content": f"I am {len(stalled)}."}
                stalled.append(stack.enter_context(_deaf(server)))
                body = server.body(stream=True, messages=[message], **ENDLESS)
                stalled[-1].sendall(chat(body))
            until(
                lambda: server.metrics()["requests_waiting"] == len(stalled), PATIENCE, "some run"
            )
            held[count] = server.memory + _unsent(server)
        told = server.metrics()
        assert told["requests_running"] == 0
        assert server.answer()
        assert server.metrics()["generated_tokens_total"] - told["generated_tokens_total"] == 24
        print(f"a client that does not read: {(held[16] - held[4]) / 12 / 1024:.0f} KB")
        # The first ones let Python's own memory grow.
        assert held[16] - held[4] < 12 * 256 * 1024
        for client in stalled:
            reset(client)


def _deaf(server: WatchedServer) -> socket.socket:
    """A client with hardly any buffer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.connect(server.address)
    return client


def _unsent(server: WatchedServer) -> int:
    """Bytes that Linux holds of what the server sent."""
    if sys.platform != "linux":
        return 0
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f":{server.address[1]:04X}"
    return sum(int(fields[4].split(":")[0], 16) for fields in lines if fields[1].endswith(port))


@pytest.mark.abuse
@pytest.mark.timeout(150)
def test_a_client_that_does_not_read_is_dropped_after_a_minute(tiny_gguf: Path) -> None:
    with (
        watched(str(tiny_gguf), "--ctx-size", "32768") as server,
        server.unharmed(),
        _deaf(server) as client,
    ):
        client.sendall(chat(server.body(stream=True, **ENDLESS)))
        time.sleep(40)
        assert len(server.clients()) == 1
        until(lambda: not server.clients(), 40, "it is still connected")


def test_a_burst_is_answered_in_full(server: WatchedServer) -> None:
    assert _burst(server, 100).keys() <= {200, 429, 503}


@pytest.mark.abuse
@pytest.mark.timeout(300)
def test_1000_at_once(tiny_gguf: Path) -> None:
    with watched(str(tiny_gguf), "--ctx-size", "8192") as server:
        limit = _most_memory(server)
        with server.unharmed():
            statuses = _burst(server, 1000)
        assert statuses.keys() <= {200, 429, 503}
        assert statuses[200] >= 132
        assert server.memory <= limit + 1_000_000


@pytest.mark.abuse
@pytest.mark.timeout(120)
@pytest.mark.parametrize("apart", [False, True])
def test_1000_clients_leave_nothing_behind(tiny_gguf: Path, apart: bool) -> None:
    """`apart`: head and body are sent one after the other, as most HTTP clients do."""
    with watched(str(tiny_gguf), "--ctx-size", "8192") as server:
        request = chat(server.body(), b"Connection: close\r\n")
        body = request.index(b"\r\n\r\n") + 4 if apart else len(request)
        limit = _most_memory(server)
        after = []
        for _ in range(3):
            with connections(server, 1000) as clients:
                for client in clients:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    client.sendall(request[:body])
                    client.sendall(request[body:])
                statuses = Counter(status_of(read_all(client)) for client in clients)
            assert statuses.keys() <= {200, 429}
            after.append(server.memory)
        # Only Linux keeps clients waiting that have said nothing yet.
        slack = 1_000_000 if sys.platform == "linux" else SLACK
        assert max(after) <= limit + slack, (limit, after)
        assert after[2] <= after[0] * 1.05, after


def _most_memory(server: WatchedServer) -> float:
    """What the server may hold of its own when all is over: a tenth more than now."""
    before = server.resident
    return before.own + (GROWTH - 1) * (before.own + before.mapped)


def _burst(server: WatchedServer, count: int) -> Counter[int]:
    """`count` requests at once; each gets exactly one answer."""

    async def ask(client: httpx.AsyncClient, number: int) -> int:
        body = server.body(max_tokens=8, stream=number % 2 == 0)
        reply = await client.post("/v1/chat/completions", json=body)
        if reply.status_code != 200:
            check_error(reply, 429, 503)
        elif number % 2 == 0:
            assert reply.text.endswith("data: [DONE]\n\n")
        return reply.status_code

    async def all_at_once() -> list[int]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(count)))

    return Counter(asyncio.run(all_at_once()))


@pytest.fixture
def server_with_64_files(tiny_gguf: Path) -> Iterator[WatchedServer]:
    if sys.platform != "linux":
        pytest.skip("uses prlimit")
    with (
        watched(str(tiny_gguf), "--ctx-size", "2048", under="prlimit --nofile=64") as server,
        server.unharmed(),
    ):
        yield server


def test_with_64_open_files_everybody_is_answered(server_with_64_files: WatchedServer) -> None:
    server = server_with_64_files
    with connections(server, 200) as clients:
        for client in clients:
            client.sendall(HEALTH)
        statuses = Counter(_first_status(client) for client in clients)
        assert statuses.keys() <= {200, 503}
        assert statuses[200] >= 100
        # Those that were answered have not hung up, and lock nobody out.
        until(lambda: httpx.get(f"{server.url}/health").status_code == 200, PATIENCE, "it is full")
        assert [_health(server) for _ in range(60)] == [200] * 60
    assert _burst(server, 200).keys() <= {200, 429, 503}
    assert "accept" not in server.log


@pytest.mark.abuse
def test_with_64_open_files_and_all_of_them_taken(server_with_64_files: WatchedServer) -> None:
    """Silent clients are replaced, slow ones stay; those who come later are told so."""
    server = server_with_64_files
    with connections(server, 60):
        until(lambda: _health(server) == 200, 5, "silent clients keep their places")
        assert [_health(server) for _ in range(60)] == [200] * 60
        with connections(server, 60) as slow:
            for client in slow:
                client.sendall(HEALTH[:20])
            statuses = Counter(_first_status(client) for client in slow)
    assert statuses.keys() <= {408, 503}
    assert statuses[503] >= 36
    until(lambda: _health(server) == 200, 1, "it is still full")


HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _health(server: WatchedServer) -> int:
    with connect(server) as client:
        client.sendall(HEALTH)
        return _first_status(client)


def _first_status(client: socket.socket) -> int:
    answer = client.recv(4096)
    assert answer, "closed without a word"
    return status_of(answer)


CHUNKED = head(b"Transfer-Encoding: chunked\r\n")
SMUGGLED = {
    "CL+TE": head(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")
    + b"0\r\n\r\nGET /x HTTP/1.1\r\n",
    "TE+CL": head(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + b"0\r\n\r\n",
    "two lengths": head(b"Content-Length: 5\r\nContent-Length: 6\r\n") + b"{}",
    "list of lengths": head(b"Content-Length: 2, 3\r\n") + b"{}",
    "signed length": head(b"Content-Length: +2\r\n") + b"{}",
    "negative length": head(b"Content-Length: -2\r\n") + b"{}",
    "hexadecimal length": head(b"Content-Length: 0x2\r\n") + b"{}",
    "no length": head(b"Content-Length: \r\n") + b"{}",
    "length of 100 digits": head(b"Content-Length: %b\r\n" % (b"9" * 100)) + b"{}",
    "unknown coding": head(b"Transfer-Encoding: gzip, chunked\r\n") + b"0\r\n\r\n",
    "chunked twice": head(b"Transfer-Encoding: chunked, chunked\r\n") + b"0\r\n\r\n",
    "two codings": head(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    "300 headers": head(b"Content-Length: 2\r\n" + b"X: y\r\n" * 300) + b"{}",
    "not quite chunked": head(b"Transfer-Encoding: xchunked\r\n") + b"0\r\n\r\n",
    "negative chunk": CHUNKED + b"-1\r\n\r\n",
    "signed chunk": CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n",
    "hexadecimal chunk": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "chunk of letters": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "chunk with underscore": CHUNKED + b"1_0\r\n{}\r\n0\r\n\r\n",
    "empty chunk size": CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "chunk of 1,000 digits": CHUNKED + b"f" * 1000 + b"\r\n{}",
    "chunk too long": CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n",
    "endless extension": CHUNKED + b"2;" + b"x" * 100_000,
    "bare LF in chunk size": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "bare LF in all chunks": CHUNKED + b"2\n{}\n0\n\n",
    "bare LF in the last chunk": CHUNKED + b"2\r\n{}\r\n0\n\n",
    "obs-fold": head(b"X-Folded: a\r\n b\r\nContent-Length: 2\r\n") + b"{}",
    "folded coding": head(b"Transfer-Encoding:\r\n chunked\r\n") + b"0\r\n\r\n",
    "blank before colon": head(b"Content-Length : 2\r\n") + b"{}",
    "no colon": head(b"Content-Length 2\r\n") + b"{}",
    "NUL in header": head(b"X-Nul: a\0b\r\n"),
    "CR in header": head(b"X-Cr: a\rb\r\n"),
    "endless header": head(b"X-Long: " + b"a" * 100_000 + b"\r\n"),
    "endless headers": head(b"X-Many: 1\r\n" * 10_000),
    "two hosts": head(b"Host: 127.0.0.1\r\n"),
    "chunks in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"2\r\n{}\r\n0\r\n\r\n",
    "version": b"GET /health HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /health\r\n\r\n",
    "bare LF": b"POST /v1/chat/completions HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "zeros": b"\0" * 1000,
    "endless path": b"GET /" + b"a" * 100_000,
}


def test_smuggling_is_refused_and_closed(server: WatchedServer) -> None:
    answers = {}
    for name, sent in SMUGGLED.items():
        with connect(server) as client:
            with suppress(ConnectionError):
                client.sendall(sent)
            answers[name] = read_all(client)
    assert {name: status_of(answer) for name, answer in answers.items()} == dict.fromkeys(
        SMUGGLED, 400
    )
    for answer in answers.values():
        assert answer.count(b"\r\n\r\n") == 1
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_a_chunk_may_have_an_extension(server: WatchedServer) -> None:
    body = json.dumps(server.body()).encode()
    chunks = b"%x;name=value\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(body), body)
    with connect(server) as client:
        client.sendall(head(b"Connection: close\r\nTransfer-Encoding: chunked\r\n") + chunks)
        answer = read_all(client)
    assert status_of(answer) == 200
    assert answer.count(b"HTTP/1.1 ") == 1


def test_pipelined_requests_are_each_answered_once(server: WatchedServer) -> None:
    ask = chat(server.body(max_tokens=2))
    with connect(server) as client:
        client.sendall(
            ask * 3 + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        answer = read_all(client)
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert answer.count(b'"chat.completion"') == 3


def test_connections_that_come_and_go(server: WatchedServer) -> None:
    def come_and_go() -> None:
        for number in range(100):
            client = connect(server)
            client.sendall(HEALTH[: number % 48])
            reset(client)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
