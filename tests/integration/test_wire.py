"""Bytes on the wire, disconnects and deaths, on a tiny model that never stops talking."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.effort import PATIENCE
from tests.serving import serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals and ps")

CONTEXT = 16384
ENDLESS = {"messages": [{"role": "user", "content": "x"}], "model": "tiny", "ignore_eos": True}


OPTIONS = ("--parallel", "1", "--threads", "1", "--ctx-size", str(CONTEXT))
"""One request at a time, so that a request that goes on shows."""


@pytest.fixture(scope="module")
def shared_server(tiny_gguf: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with serving(str(tiny_gguf), *OPTIONS) as running:
        yield running


@pytest.fixture
def server(
    shared_server: tuple[str, subprocess.Popen[str]],
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """It is there for the next one too, and idle then."""
    url, _ = shared_server
    yield shared_server
    until(lambda: figure(url, "requests_running") == figure(url, "requests_waiting") == 0)


@pytest.fixture
def own_server(tiny_gguf: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """To be killed."""
    with serving(str(tiny_gguf), *OPTIONS) as running:
        yield running


def open_request(url: str, body: dict[str, object]) -> socket.socket:
    connection = connect(url)
    connection.sendall(post(body))
    return connection


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def post(body: dict[str, object], headers: bytes = b"", version: bytes = b"1.1") -> bytes:
    """A chat request; `headers` are lines with their ends."""
    data = json.dumps(body).encode()
    return (
        b"POST /v1/chat/completions HTTP/%b\r\nHost: localhost\r\n%b"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (version, headers, len(data), data)
    )


def reset(connection: socket.socket) -> None:
    """Close with RST, as a killed client does."""
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def answers(url: str) -> bool:
    body = {**ENDLESS, "max_tokens": 2}
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE)
    return reply.status_code == 200


def figure(url: str, name: str) -> float:
    """What /metrics tells of the model."""
    told = re.search(rf"^edge_llama_{name}{{.*}} (\S+)$", httpx.get(f"{url}/metrics").text, re.M)
    assert told is not None
    return float(told[1])


def generated(url: str) -> float:
    return figure(url, "generated_tokens_total")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def engines_of(pid: int) -> list[int]:
    listing = subprocess.run(
        ["ps", "-wweo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 3) for line in listing.splitlines()]
    return [
        int(row[0])
        for row in rows
        if "edge_llama.engine.worker" in row[-1] and int(row[1]) == pid and row[2][0] != "Z"
    ]


def alive(pid: int) -> bool:
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return listing.stdout.strip()[:1] not in ("", "Z")


def test_frames_on_the_wire(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = server
    with closing(open_request(url, {**ENDLESS, "stream": True, "max_tokens": 20})) as connection:
        raw = b""
        while not raw.endswith(b"0\r\n\r\n"):
            raw += connection.recv(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"cache-control: no-cache" in head.lower()
    assert b"x-accel-buffering: no" in head.lower()
    payload = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        payload += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    assert b"\r" not in payload
    assert payload.isascii()
    events = payload.split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    for event in events[:-2]:
        assert event.startswith(b"data: {")
        assert "error" not in json.loads(event[6:])


@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnect_while_decoding_frees_the_slot(
    server: tuple[str, subprocess.Popen[str]], stream: bool
) -> None:
    url, _ = server
    before = generated(url)
    connection = open_request(url, {**ENDLESS, "stream": stream})
    if stream:
        assert connection.recv(4096)
    until(lambda: generated(url) > before + 100)
    reset(connection)
    assert answers(url)
    assert generated(url) < before + CONTEXT / 2, "it went on to the end of its context"


def test_a_disconnect_behind_pipelined_requests_frees_the_slot(
    server: tuple[str, subprocess.Popen[str]],
) -> None:
    url, _ = server
    before = generated(url)
    connection = connect(url)
    connection.sendall(post(ENDLESS) + post(ENDLESS))
    until(lambda: generated(url) > before + 100)
    reset(connection)
    assert answers(url)
    assert generated(url) < before + CONTEXT / 2, "it went on to the end of its context"


def test_an_upgrade_that_is_not_taken_keeps_its_body(
    server: tuple[str, subprocess.Popen[str]],
) -> None:
    url, _ = server
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    with closing(connect(url)) as connection:
        connection.sendall(post({**ENDLESS, "max_tokens": 2}, upgrade))
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_endless_headers_are_cut_off(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = server
    with closing(connect(url)) as connection:
        try:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
            for number in range(16):
                connection.sendall(b"X-%d: %b\r\n" % (number, b"a" * 65536))
            connection.sendall(b"\r\n")
            answer = connection.recv(4096)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


def test_a_client_of_http_1_0_gets_no_chunks(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = server
    with closing(connect(url)) as connection:
        body = {**ENDLESS, "max_tokens": 2, "stream": True}
        connection.sendall(post(body, version=b"1.0"))
        raw = b""
        while data := connection.recv(4096):
            raw += data
    head, _, payload = raw.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert payload.startswith(b"data: {")
    assert payload.endswith(b"data: [DONE]\n\n")


def test_a_disconnect_while_prefilling_frees_the_slot(
    server: tuple[str, subprocess.Popen[str]],
) -> None:
    url, _ = server
    long = {**ENDLESS, "messages": [{"role": "user", "content": "ab " * 5200}], "stream": True}
    before = figure(url, "prompt_tokens_total"), generated(url)
    connection = open_request(url, long)
    received = connection.recv(4096)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"data:" not in received
    reset(connection)
    assert answers(url)
    assert figure(url, "prompt_tokens_total") < before[0] + 2 * 5200, "it was read to its end"
    assert generated(url) == before[1] + 2


def test_a_disconnect_while_queued_is_forgotten(
    server: tuple[str, subprocess.Popen[str]],
) -> None:
    url, _ = server
    before = generated(url)
    running = open_request(url, {**ENDLESS, "stream": True})
    assert running.recv(4096)
    queued = [open_request(url, {**ENDLESS, "stream": True}) for _ in range(5)]
    for connection in queued:
        # Headers go out although nothing runs yet.
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        reset(connection)
    reset(running)
    assert answers(url)
    assert generated(url) < before + CONTEXT, "one went on to the end of its context"


def read_on(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(1 << 16):
            pass


def test_a_silent_stream_is_kept_alive(tiny_gguf: Path) -> None:
    from edge_llama.api.http.sse import KEEP_ALIVE

    assert KEEP_ALIVE == b"\n"
    options = ("--parallel", "1", "--threads", "1", "--ctx-size", "32768")
    with serving(str(tiny_gguf), *options) as (url, process):
        running = open_request(url, {**ENDLESS, "stream": True})
        assert running.recv(4096)
        # What nobody reads would give up its place.
        threading.Thread(target=read_on, args=(running,), daemon=True).start()
        waiting = open_request(url, {**ENDLESS, "stream": True})
        received = waiting.recv(4096)
        [engine] = map(psutil.Process, engines_of(process.pid))
        engine.suspend()  # so that the CPU is there for others meanwhile
        while not received.endswith(b"1\r\n\n\r\n"):
            received += waiting.recv(4096)
            assert b"data:" not in received
        reset(running)
        reset(waiting)


def test_health_answers_while_generating(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = server
    # A machine that is busy may come when nothing is left to generate.
    assert any(_is_healthy_while_generating(url) for _ in range(10))


def _is_healthy_while_generating(url: str) -> bool:
    connection = open_request(url, {**ENDLESS, "stream": True})
    assert connection.recv(4096)
    # What nobody reads would give up its place.
    threading.Thread(target=read_on, args=(connection,), daemon=True).start()
    for path in ("/health", "/health/live", "/health/ready"):
        assert httpx.get(url + path).status_code == 200
    running = figure(url, "requests_running") == 1
    reset(connection)
    return running


def test_a_killed_engine_ends_streams_with_an_error_and_comes_back(
    own_server: tuple[str, subprocess.Popen[str]],
) -> None:
    url, process = own_server
    with httpx.Client(base_url=url, verify=False, timeout=PATIENCE) as client:
        for _ in range(4):
            # Each time it stays away for twice as long; a busy machine may miss it at first.
            refused = _killed_in_a_stream(url, process, client)
            until(lambda: client.get("/health/ready").status_code == 200)
            if refused:
                break
        assert refused
    assert answers(url)
    assert process.poll() is None


def _killed_in_a_stream(url: str, process: subprocess.Popen[str], client: httpx.Client) -> bool:
    """Whether requests were refused before the engine was back."""
    connection = open_request(url, {**ENDLESS, "stream": True})
    assert connection.recv(4096)
    [engine] = engines_of(process.pid)
    psutil.Process(engine).kill()
    raw = b""
    while not raw.endswith(b"0\r\n\r\n"):
        raw += connection.recv(65536)
    connection.close()
    last = raw.rsplit(b"data: ", 1)[1].split(b"\n\n")[0]
    assert json.loads(last)["error"]["type"] == "server_error"
    assert b"[DONE]" not in raw
    ready = client.get("/health/ready")
    refused = client.post("/v1/chat/completions", json={**ENDLESS, "max_tokens": 2})
    if refused.status_code == 200:
        return False
    assert ready.status_code == refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    return True


def test_a_killed_server_leaves_no_process(
    own_server: tuple[str, subprocess.Popen[str]],
) -> None:
    url, process = own_server
    connection = open_request(url, {**ENDLESS, "stream": True})
    assert connection.recv(4096)
    [engine] = engines_of(process.pid)
    process.kill()
    process.wait()
    until(lambda: not alive(engine))
    connection.close()


def test_sigterm_ends_all_with_status_zero(
    own_server: tuple[str, subprocess.Popen[str]],
) -> None:
    url, process = own_server
    assert answers(url)
    [engine] = engines_of(process.pid)
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0
    assert not alive(engine)


def test_a_key_guards_everything_but_health(tiny_gguf: Path) -> None:
    with serving(str(tiny_gguf), "--threads", "1", EDGE_LLAMA_API_KEY="sk-secret") as (url, _):
        body = {**ENDLESS, "max_tokens": 1}
        chat = f"{url}/v1/chat/completions"
        assert httpx.get(f"{url}/health").status_code == 200
        refused = httpx.post(chat, json=body)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"
        wrong = {"Authorization": "Bearer sk-wrong"}
        assert httpx.get(f"{url}/v1/models", headers=wrong).status_code == 401
        right = {"Authorization": "Bearer sk-secret"}
        assert httpx.post(chat, json=body, headers=right).status_code == 200
