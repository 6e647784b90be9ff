"""How soon a server of our own is there, what it takes, and what it does when nobody asks."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import edge_llama
from edge_llama.bench.load.http_client import HTTPClient
from edge_llama.bench.machine.busy import busy_share
from edge_llama.bench.machine.processes import cpu_seconds, resident_bytes
from edge_llama.bench.scenarios.comparison import Result
from edge_llama.bench.scenarios.quantity import Figure, Quantity, Unit
from edge_llama.bench.scenarios.scenarios import STARTUP
from edge_llama.bench.targets.server import start_error, start_server, stop_server
from edge_llama.bench.targets.target import SERVER
from edge_llama.bench.targets.url import URLTarget
from edge_llama.errors import EngineError
from edge_llama.process.child import module_command
from edge_llama.settings.engine import EngineSettings

CTX_SIZE = 4096
POLL_SECONDS = 0.005
SETTLE_SECONDS = 1.0
IDLE_SECONDS = 3.0

TITLE = "a server starts, answers once and waits"

FIRST_TOKEN = Quantity("first_token", "first token, from the start", Unit.SECONDS)
HEALTH = Quantity("health", "/health answers", Unit.SECONDS)
IMPORT = Quantity("import", "import edge_llama", Unit.SECONDS)
HELP = Quantity("help", "edge-llama --help", Unit.SECONDS)
SERVER_MEMORY = Quantity("server_memory", "memory of the server", Unit.BYTES)
ENGINE_MEMORY = Quantity("engine_memory", "memory of the engine", Unit.BYTES)
IDLE_CPU = Quantity("idle_cpu", "CPU when idle", Unit.SHARE)

_IMPORT = (
    f"import sys, time; sys.path.insert(0, {str(Path(edge_llama.__file__).parents[1])!r}); "
    "start = time.perf_counter(); import edge_llama; print(time.perf_counter() - start)"
)


async def measure_startup(
    model: Path,
    threads: int | None,
    n_runs: int,
    progress: Callable[[str], None],
    *,
    tuned: bool = False,
) -> Result:
    """Start a server `n_runs` times.

    Args:
        model: what it serves.
        threads: of its engine; None chooses.
        progress: called with a line for people before each run.
        tuned: let it run the model as `edge-llama tune` found best.

    Raises:
        EdgeLlamaError: it did not start.
    """
    settings = EngineSettings(model=str(model), ctx_size=CTX_SIZE, threads=threads)
    runs = []
    busy = []
    for number in range(n_runs):
        progress(f"{STARTUP}: run {number + 1} of {n_runs}")
        busy.append(await busy_share())
        runs.append(await _import_times() | await _server_times(settings, tuned=tuned))
    figures = {
        quantity: {SERVER: Figure(tuple(run[quantity] for run in runs))} for quantity in runs[0]
    }
    return Result(STARTUP, TITLE, figures, {}, max(busy))


async def _server_times(settings: EngineSettings, *, tuned: bool) -> dict[Quantity, float]:
    url = f"http://127.0.0.1:{_free_port()}"
    start = time.perf_counter()
    process = await start_server(settings, int(url.rpartition(":")[2]), tuned=tuned)
    try:
        client, target = HTTPClient(url), URLTarget(url)
        await _until_answered(process, lambda: client.get("/health"))
        health = time.perf_counter() - start
        await _until_answered(process, lambda: _ask_anything(target))
        first_token = time.perf_counter() - start
        engine, server = resident_bytes(process.pid)
        await asyncio.sleep(SETTLE_SECONDS)
        idle = await _idle_share(process.pid)
    finally:
        await stop_server(process)
    return {
        FIRST_TOKEN: first_token,
        HEALTH: health,
        SERVER_MEMORY: server,
        ENGINE_MEMORY: engine,
        IDLE_CPU: idle,
    }


async def _until_answered(process: Process, ask: Callable[[], Awaitable[object]]) -> None:
    """Ask until there is an answer; a server may refuse while its model loads."""
    while not await _is_answered(ask):
        await asyncio.sleep(POLL_SECONDS)
        if process.returncode is not None:
            raise await start_error(process)


async def _is_answered(ask: Callable[[], Awaitable[object]]) -> bool:
    try:
        await ask()
    except EngineError:
        return False
    return True


async def _ask_anything(target: URLTarget) -> None:
    target.model = await target.first_model()
    await target.ask(({"role": "user", "content": "Hello!"},), 1, lambda: None)


async def _idle_share(pid: int) -> float:
    """The share of one CPU that a process and its children take."""
    before, since = cpu_seconds(pid), time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    return (cpu_seconds(pid) - before) / (time.perf_counter() - since)


async def _import_times() -> dict[Quantity, float]:
    told, _ = await _run([sys.executable, "-c", _IMPORT])
    _, seconds = await _run([*module_command("edge_llama"), "--help"])
    return {IMPORT: float(told), HELP: seconds}


async def _run(command: Sequence[str]) -> tuple[bytes, float]:
    """What a program prints, and the seconds it takes."""
    start = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    output, _ = await process.communicate()
    return output, time.perf_counter() - start


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
