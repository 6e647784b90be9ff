"""Life: cases 18 to 20 of what must hold."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.abuse.alive import WatchedServer, check_error, until, watched
from tests.abuse.sockets import chat, connect, read_all
from tests.effort import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")

SIZE = ("--ctx-size", "32768")
ENDLESS = 30_000


def stream(server: WatchedServer, **fields: Any) -> socket.socket:
    """A stream that has begun."""
    client = connect(server, timeout=PATIENCE)
    body = server.body(stream=True, ignore_eos=True, **fields)
    client.sendall(chat(body, b"Connection: close\r\n"))
    received = b""
    while b"data:" not in received:
        received += client.recv(65536)
    return client


def error_of(answer: bytes) -> dict[str, Any]:
    """The error event that ends a stream."""
    assert b"[DONE]" not in answer
    frame = answer.rpartition(b"data: ")[2].partition(b"\n\n")[0]
    error: dict[str, Any] = json.loads(frame)["error"]
    return error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_drains(tiny_gguf: Path, number: int) -> None:
    with watched(str(tiny_gguf), *SIZE, "--drain-timeout", "600", warm=False) as server:
        engines = server.engines
        short, endless = stream(server, max_tokens=40), stream(server, max_tokens=ENDLESS)
        server.process.send_signal(number)
        until(lambda: not _ready(server), PATIENCE, "it is ready")
        assert server.get("/health/live").status_code == 200
        check_error(server.post(server.body()), 503)
        assert b"data: [DONE]" in read_all(short)
        endless.close()
        _check_ended(server, engines)
        short.close()


def test_a_drain_has_its_time(tiny_gguf: Path) -> None:
    with watched(str(tiny_gguf), *SIZE, "--drain-timeout", "1", warm=False) as server:
        engines = server.engines
        with stream(server, max_tokens=ENDLESS) as client:
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert error_of(read_all(client))["type"] == "server_error"
            assert time.monotonic() - began > 0.9
        _check_ended(server, engines)


def _check_ended(server: WatchedServer, engines: list[psutil.Process]) -> None:
    """See that it ends well, with all that it had started."""
    assert server.process.wait(PATIENCE) == 0
    assert psutil.wait_procs(engines, PATIENCE)[1] == []
    assert "Traceback" not in server.log


@pytest.mark.parametrize("busy", [pytest.param(False, marks=pytest.mark.abuse), True])
def test_an_idle_server_ends_at_once_and_a_busy_one_at_the_second_signal(
    tiny_gguf: Path, busy: bool
) -> None:
    options = (*SIZE, "--drain-timeout", "600")
    with watched(str(tiny_gguf), *options, warm=False) as server, ExitStack() as stack:
        engines = server.engines
        if busy:
            client = stack.enter_context(stream(server, max_tokens=ENDLESS))
        server.process.send_signal(signal.SIGTERM)
        if busy:
            until(lambda: not _ready(server), PATIENCE, "it is still ready")
            server.process.send_signal(signal.SIGTERM)
            assert "is stopping" in error_of(read_all(client))["message"]
        _check_ended(server, engines)


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(n, marks=pytest.mark.abuse) for n in (6, 11))],
)
def test_an_engine_that_dies_costs_only_its_requests(tiny_gguf: Path, number: int) -> None:
    with watched(str(tiny_gguf), *SIZE) as server, server.unharmed():
        # Each time it stays away for twice as long; a busy machine may miss it at first.
        assert any(_refused_without_engine(server, number) for _ in range(4))


def _refused_without_engine(server: WatchedServer, number: int) -> bool:
    """End the engine; whether requests came before it was back, and were refused then."""
    client = stream(server, max_tokens=ENDLESS)
    [engine] = server.engines
    engine.send_signal(number)
    assert error_of(read_all(client))["type"] == "server_error"
    client.close()
    status = server.get("/health").json()["status"]
    ready, answer = server.get("/health/ready"), server.post(server.body())
    until(lambda: _ready(server), PATIENCE, "it does not come back")
    if answer.status_code == 200:
        return False
    assert status == "restarting"
    check_error(ready, 503)
    check_error(answer, 503)
    return True


def _ready(server: WatchedServer) -> bool:
    return server.get("/health/ready").status_code == 200


@pytest.mark.abuse
def test_restarts_back_off(tiny_gguf: Path) -> None:
    with watched(str(tiny_gguf), *SIZE) as server, server.unharmed():
        for _ in range(3):
            server.engines[0].kill()
            until(lambda: not _ready(server), 2, "the engine lives")
            until(lambda: _ready(server), 10, server.log)
        pauses = [line.split("in ")[-1] for line in server.log.splitlines() if "again in" in line]
        assert pauses == ["0.5 s.", "1.0 s.", "2.0 s."]


def test_a_pause_breaks_nothing(server: WatchedServer) -> None:
    _pause(server, "engine", 1)


def test_metrics_are_told_without_an_engine_that_is_stopped(server: WatchedServer) -> None:
    [engine] = server.engines
    engine.suspend()
    try:
        answer = server.get("/metrics")
    finally:
        engine.resume()
    assert answer.status_code == 200
    assert "requests_running{" not in answer.text
    until(lambda: "requests_running{" in server.get("/metrics").text, PATIENCE, "it is stopped")


@pytest.mark.abuse
@pytest.mark.parametrize("who", ["server", "engine"])
def test_a_pause_of_ten_seconds_breaks_nothing(server: WatchedServer, who: str) -> None:
    _pause(server, who, 10)


def _pause(server: WatchedServer, who: str, seconds: float) -> None:
    client = stream(server, max_tokens=300)
    process = server.engines[0] if who == "engine" else psutil.Process(server.process.pid)
    process.suspend()
    time.sleep(seconds)
    process.resume()
    received = b""
    while b"[DONE]" not in received:
        received += client.recv(65536)
    assert b"error" not in received
    client.close()


def run(*arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """`edge-llama serve` that ends by itself, and how long it took."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "edge_llama", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done, time.monotonic() - began


@pytest.mark.abuse
def test_a_taken_port_is_told_before_the_model_loads(tiny_gguf: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done, seconds = run(str(tiny_gguf), "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert seconds < 4


@pytest.mark.abuse
def test_a_context_beyond_memory_is_refused_with_numbers(tiny_gguf: Path) -> None:
    done, _ = run(str(tiny_gguf), "--memory", "1G", "--ctx-size", str(1 << 22), "--port", "0")
    assert done.returncode == 8
    assert "GB" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_app_that_is_killed_takes_its_server_along(tiny_gguf: Path) -> None:
    program = (
        "import subprocess, sys; it = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE);"
        "print(it.pid, it.stdout.readline().split()[-1].decode(), flush=True); it.wait()"
    )
    serve = [sys.executable, "-m", "edge_llama", "serve", str(tiny_gguf), *SIZE, "--port", "0"]
    command = [sys.executable, "-c", program, *serve, "--exit-with-parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        pid, url = app.stdout.readline().split()
        server = psutil.Process(int(pid))
        family = [server, *server.children(recursive=True)]
        app.kill()
    assert psutil.wait_procs(family, PATIENCE)[1] == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
