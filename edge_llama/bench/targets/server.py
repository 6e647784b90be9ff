"""Our own server, started for the occasion."""

from __future__ import annotations

import asyncio
import os
import re
import time
from asyncio.subprocess import DEVNULL, PIPE, Process

from edge_llama.bench.load.http_client import HTTPClient
from edge_llama.bench.load.load import Load
from edge_llama.bench.load.stream import Stream
from edge_llama.bench.targets.target import SERVER
from edge_llama.bench.targets.url import URLTarget
from edge_llama.errors import EngineError, EngineStartError
from edge_llama.process.child import module_command
from edge_llama.settings.engine import EngineSettings

STOP_SECONDS = 15.0
SAVE_SECONDS = 120.0
UNSAVED = re.compile(r"^edge_llama_disk_unsaved_blocks\{.*\} (\S+)$", re.MULTILINE)
READY_LINE = re.compile(r"http://\S+")


class ServerTarget:
    """`edge-llama serve` on a free port.

    Args:
        settings: what its flags say of them.
        tuned: let it run the model as `edge-llama tune` found best.
    """

    name = SERVER

    def __init__(self, settings: EngineSettings, *, tuned: bool = False) -> None:
        self._settings = settings
        self._tuned = tuned
        self._process: Process | None = None
        self._target: URLTarget | None = None
        self._client: HTTPClient | None = None

    @property
    def pid(self) -> int:
        """The id of the server's process, which is the parent of the engine's."""
        assert self._process is not None, "pid outside `async with`"
        return self._process.pid

    async def __aenter__(self) -> ServerTarget:
        self._process = await start_server(self._settings, tuned=self._tuned)
        try:
            url = await _ready_url(self._process)
            self._client = HTTPClient(url)
            self._target = URLTarget(url, name=SERVER)
            await self._target.__aenter__()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._process is not None:
            await stop_server(self._process)

    async def run(self, load: Load, seed: int) -> list[Stream]:
        """One run of a load. Raises as `URLTarget.run` does."""
        assert self._target is not None, "run() outside `async with`"
        return await self._target.run(load, seed)

    async def score(self, n_tokens: int) -> None:
        """Have it tell the log-probabilities of a prompt's tokens.

        Raises:
            EngineError: it does not answer.
        """
        assert self._client is not None, "score() outside `async with`"
        assert self._target is not None, "score() outside `async with`"
        scored = {"prompt": [5] * n_tokens, "max_tokens": 0, "echo": True, "logprobs": 0}
        body = {"model": self._target.model, **scored, "stream": True}
        async for _ in self._client.events("/v1/completions", body):
            pass

    async def all_saved(self) -> None:
        """Wait until all that is kept on disk is there.

        Raises:
            EngineError: the server does not get to it.
        """
        assert self._client is not None, "all_saved() outside `async with`"
        deadline = time.monotonic() + SAVE_SECONDS
        while any(float(n) for n in UNSAVED.findall(await self._client.text("/metrics"))):
            if time.monotonic() > deadline:
                raise EngineError("The server does not write what it should keep on disk.")
            await asyncio.sleep(0.05)


async def start_server(settings: EngineSettings, port: int = 0, *, tuned: bool) -> Process:
    """A server that is starting; what it prints can be read."""
    flags = ["--tuned" if tuned else "--no-tuned"]
    environment = {k: v for k, v in os.environ.items() if k != "EDGE_LLAMA_API_KEY"}
    return await asyncio.create_subprocess_exec(
        *_serve_command(settings, port), *flags, stdin=DEVNULL, stdout=PIPE, env=environment
    )


async def stop_server(process: Process) -> None:
    """End a server, if it has not ended."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()


async def start_error(process: Process) -> EngineStartError:
    """How a server ended that should have started."""
    return EngineStartError(f"The server ended with code {await process.wait()}.")


async def _ready_url(process: Process) -> str:
    """The address that the server prints when it is ready."""
    assert process.stdout is not None
    async for line in process.stdout:
        if match := READY_LINE.search(line.decode(errors="replace")):
            return match[0]
    raise await start_error(process)


def _serve_command(settings: EngineSettings, port: int) -> list[str]:
    command = [*module_command("edge_llama"), "serve", settings.model]
    options: dict[str, int | str | None] = {
        "--port": port,
        "--ctx-size": settings.ctx_size,
        "--parallel": settings.parallel,
        "--threads": settings.threads,
        "--threads-batch": settings.threads_batch,
        "--batch-size": settings.batch_size,
        "--cached-sequences": settings.cached_sequences,
        "--cache-size": 0,
    }
    if settings.disk_cache is not None:
        options["--cache-dir"] = settings.disk_cache.folder
        options["--cache-size"] = settings.disk_cache.max_bytes
    for option, value in options.items():
        if value is not None:
            command += [option, str(value)]
    return command
