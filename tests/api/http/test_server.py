from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import psutil
import pytest

from edge_llama.api.http.server import bind
from edge_llama.errors import SettingsError
from tests.effort import PATIENCE

SERVER = """
import asyncio
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from edge_llama.api.http.server import serve
from edge_llama.api.state.app_state import AppState, give_state, state_of
from edge_llama.pool.registry import ModelRegistry
from edge_llama.settings.server import ServerSettings

async def hello(request):
    return PlainTextResponse("hello")

async def slow(request):
    async def parts():
        yield "one"
        await asyncio.sleep(0.5)
        yield "two"
    return StreamingResponse(parts())

async def endless(request):
    async def parts():
        yield "one"
        await asyncio.sleep(600)
    return StreamingResponse(parts())

async def stopping(request):
    return PlainTextResponse(str(state_of(request).stopping))

@asynccontextmanager
async def lifespan(app):
    yield
    print("stopped", flush=True)

routes = [Route("/", hello), Route("/slow", slow), Route("/endless", endless)]
routes += [Route("/stopping", stopping)]
app = Starlette(routes=routes, lifespan=lifespan)
settings = ServerSettings(port=0, drain_timeout=600)
give_state(app, AppState(registry=ModelRegistry([]), settings=settings))
serve(app, settings, lambda host, port: print(host, port, flush=True))
print("ended", flush=True)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as it:
        yield it
        it.kill()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    host, port = process.stdout.readline().split()
    return f"http://{host}:{port}"


def test_port_0_is_told_and_serves(process: subprocess.Popen[str]) -> None:
    with urllib.request.urlopen(address(process)) as response:
        assert response.read() == b"hello"
        assert "server" not in response.headers
        assert response.headers["date"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize(
    "names", ["SIGTERM", "SIGINT", "SIGHUP", "SIGHUP SIGHUP", "SIGTERM SIGHUP"]
)
def test_a_signal_lets_running_requests_end(process: subprocess.Popen[str], names: str) -> None:
    with urllib.request.urlopen(address(process) + "/slow") as response:
        assert response.read(3) == b"one"
        for name in names.split():
            process.send_signal(signal.Signals[name])
            time.sleep(0.1)
        assert response.read() == b"two"
    assert process.wait(PATIENCE) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "stopped\nended\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="voluntary switches are POSIX's")
def test_an_idle_server_sleeps(process: subprocess.Popen[str]) -> None:
    address(process)
    server = psutil.Process(process.pid)

    def switches() -> int:
        before = server.num_ctx_switches().voluntary
        time.sleep(1)
        return server.num_ctx_switches().voluntary - before

    # uvicorn's own loop would wake up ten times in each second; a start may take some of them.
    assert any(switches() <= 4 for _ in range(20))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_hangup_that_is_ignored_stays_so() -> None:
    program = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", SERVER]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        url = address(process)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        with urllib.request.urlopen(url) as response:
            assert response.read() == b"hello"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_second_signal_does_not_wait(process: subprocess.Popen[str]) -> None:
    url = address(process)
    with urllib.request.urlopen(f"{url}/endless") as response:
        assert response.read(3) == b"one"
        process.send_signal(signal.SIGTERM)
        while urllib.request.urlopen(f"{url}/stopping").read() != b"True":
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "stopped\nended\n"


def test_a_port_in_use_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Port {port} of .* is in use"):
            bind("127.0.0.1", port)


def test_a_foreign_address_is_told() -> None:
    with pytest.raises(
        SettingsError, match=r"`host` 192\.0\.2\.1 is not an address of this machine"
    ):
        bind("192.0.2.1", 0)


def test_a_free_port() -> None:
    with bind("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with socket.create_connection((host, port), timeout=PATIENCE) as connection:
            assert connection.getpeername() == (host, port)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere connections are taken at once")
def test_who_says_nothing_is_accepted_later() -> None:
    with bind("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with (
            socket.create_connection(address, timeout=PATIENCE) as silent,
            socket.create_connection(address, timeout=PATIENCE) as speaking,
        ):
            listener.settimeout(PATIENCE)
            speaking.sendall(b"GET")
            for client in (speaking, silent):
                accepted, name = listener.accept()
                accepted.close()
                assert name == client.getsockname()
