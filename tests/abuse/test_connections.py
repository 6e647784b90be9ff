"""Connections and load: cases 9 to 12 of what must hold."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.abuse.alive import WatchedServer, check_error, until, watched
from tests.abuse.sockets import chat, connect, connections, head, read_all, reset, status_of

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


@pytest.mark.abuse
def test_clients_that_do_not_read_cost_little(server: WatchedServer) -> None:
    """They are dropped after a minute, or when they go."""
    began = time.monotonic()
    server.answer()
    alone = time.monotonic() - began
    with connections(server, 2) as stalled:
        for client in stalled:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(chat(server.body(stream=True, ignore_eos=True, max_tokens=1500)))
        memory = server.memory
        time.sleep(2)
        began = time.monotonic()
        server.answer()
        assert time.monotonic() - began < 10 * alone + 0.5
        # Python's objects for tokens and frames are larger than the 256 KiB that are buffered.
        assert server.memory - memory < 2 * 4_000_000
        for client in stalled:
            reset(client)


@pytest.mark.abuse
@pytest.mark.timeout(150)
def test_a_client_that_does_not_read_is_dropped_after_a_minute(tiny_gguf: Path) -> None:
    with (
        watched(str(tiny_gguf), "--ctx-size", "32768") as server,
        server.unharmed(),
        connect(server) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
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
        # Python keeps the memory of the first thousand connections for the next ones.
        _burst(server, 1000)
        with server.unharmed():
            statuses = _burst(server, 1000)
        assert statuses.keys() <= {200, 429, 503}
        assert statuses[200] >= 132


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


@pytest.mark.abuse
@pytest.mark.skipif(sys.platform != "linux", reason="uses prlimit")
def test_with_64_open_files_it_sheds_and_recovers(tiny_gguf: Path) -> None:
    with (
        watched(str(tiny_gguf), "--ctx-size", "2048", under="prlimit --nofile=64") as server,
        server.unharmed(),
    ):
        with connections(server, 200) as clients:
            for client in clients:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            statuses = Counter(_first_status(client) for client in clients)
        # 0 was closed by libuv, which has one descriptor left for that.
        assert statuses[200] >= 8
        assert statuses.keys() <= {200, 503, 0}
        until(lambda: httpx.get(f"{server.url}/health").status_code == 200, 3, "it is still full")


def _first_status(client: socket.socket) -> int:
    """0 if it was closed without a word."""
    try:
        answer = client.recv(4096)
    except ConnectionError:
        answer = b""
    return status_of(answer) if answer else 0


SMUGGLED = {
    "CL+TE": head(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")
    + b"0\r\n\r\nGET /x HTTP/1.1\r\n",
    "two lengths": head(b"Content-Length: 5\r\nContent-Length: 6\r\n") + b"{}",
    "negative chunk": head(b"Transfer-Encoding: chunked\r\n") + b"-1\r\n\r\n",
    "bare LF": b"POST /v1/chat/completions HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "zeros": b"\0" * 1000,
    "endless path": b"GET /" + b"a" * 100_000,
}


def test_smuggling_is_refused_and_closed(server: WatchedServer) -> None:
    for name, sent in SMUGGLED.items():
        with connect(server) as client:
            client.sendall(sent)
            answer = read_all(client)
        assert status_of(answer) == 400, name
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


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
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"[: number % 48])
            reset(client)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
