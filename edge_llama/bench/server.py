"""A server under load, over HTTP: ours, or any that speaks OpenAI's API."""

from __future__ import annotations

import asyncio
import os
import random
import re
import string
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator

from edge_llama.bench.http_client import HTTPClient
from edge_llama.bench.scenarios import SAMPLING, Scenario, Stream
from edge_llama.child import module_command
from edge_llama.config import EngineSettings
from edge_llama.errors import EngineError, EngineStartError

STOP_SECONDS = 15.0
READY_LINE = re.compile(r"http://\S+")
CALIBRATION_WORDS = (4, 36)


class HTTPTarget:
    """A running server, fed with chats of random words.

    The server counts the tokens, so two requests first find out how many a word takes.
    """

    name = "url"

    def __init__(self, url: str) -> None:
        self._client = HTTPClient(url)
        self._model = ""
        self._tokens_per_word = 1.0
        self._template_tokens = 0.0

    async def __aenter__(self) -> HTTPTarget:
        models = await self._client.get("/v1/models")
        self._model = models["data"][0]["id"]
        few, many = CALIBRATION_WORDS
        fewer, more = [await self._prompt_tokens(words) for words in CALIBRATION_WORDS]
        self._tokens_per_word = (more - fewer) / (many - few)
        self._template_tokens = fewer - few * self._tokens_per_word
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        return None

    async def run(self, scenario: Scenario, seed: int) -> list[Stream]:
        """One run of a load.

        Raises:
            EngineError: the server cannot be reached, or answered with an error.
        """
        words = (scenario.prompt_tokens - self._template_tokens) / self._tokens_per_word
        prompts = random_words(max(round(words), 1), seed)
        start = time.perf_counter()
        return await asyncio.gather(
            *(
                self._stream(next(prompts), scenario.output_tokens, start)
                for _ in range(scenario.clients)
            )
        )

    async def _prompt_tokens(self, words: int) -> int:
        text = next(random_words(words, seed=-words))
        return (await self._stream(text, 1, time.perf_counter())).prompt_tokens

    async def _stream(self, text: str, n_tokens: int, start: float) -> Stream:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": n_tokens,
            "temperature": SAMPLING.temperature,
            "top_p": SAMPLING.top_p,
            "ignore_eos": SAMPLING.ignore_eos,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        first = last = 0.0
        usage = None
        async for event in self._client.events("/v1/chat/completions", body):
            usage = event.get("usage") or usage
            for choice in event["choices"]:
                if choice["delta"] or choice["finish_reason"]:
                    last = time.perf_counter() - start
                    first = first or last
        if usage is None:
            raise EngineError("The server sent no usage, so its tokens cannot be counted.")
        details = usage.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens") or 0
        return Stream(usage["prompt_tokens"], cached, usage["completion_tokens"], first, last)


class ServerTarget:
    """Our own server, started for the occasion on a free port."""

    name = "server"

    def __init__(self, settings: EngineSettings) -> None:
        self._command = _serve_command(settings)
        self._process: asyncio.subprocess.Process | None = None
        self._target: HTTPTarget | None = None

    @property
    def pid(self) -> int:
        """The id of the server's process, which is the parent of the engine's."""
        assert self._process is not None, "pid outside `async with`"
        return self._process.pid

    async def __aenter__(self) -> ServerTarget:
        environment = {k: v for k, v in os.environ.items() if k != "EDGE_LLAMA_API_KEY"}
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=DEVNULL, stdout=PIPE, env=environment
        )
        try:
            self._target = HTTPTarget(await self._ready_url(self._process))
            await self._target.__aenter__()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except asyncio.TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def run(self, scenario: Scenario, seed: int) -> list[Stream]:
        """One run of a load. Raises as `HTTPTarget.run` does."""
        assert self._target is not None, "run() outside `async with`"
        return await self._target.run(scenario, seed)

    async def _ready_url(self, process: asyncio.subprocess.Process) -> str:
        """The address that the server prints when it is ready."""
        assert process.stdout is not None
        async for line in process.stdout:
            if match := READY_LINE.search(line.decode(errors="replace")):
                return match[0]
        raise EngineStartError(f"The server ended with code {await process.wait()}.")


def random_words(n_words: int, seed: int) -> Iterator[str]:
    """Endless texts of made-up words of three letters, which have nothing in common."""
    rng = random.Random(seed)  # noqa: S311
    while True:
        words = ("".join(rng.choices(string.ascii_lowercase, k=3)) for _ in range(n_words))
        yield " ".join(words)


def _serve_command(settings: EngineSettings) -> list[str]:
    command = [*module_command("edge_llama"), "serve", settings.model]
    options = {
        "--port": 0,
        "--ctx-size": settings.ctx_size,
        "--parallel": settings.parallel,
        "--threads": settings.threads,
        "--threads-batch": settings.threads_batch,
        "--batch-size": settings.batch_size,
        "--cached-sequences": settings.cached_sequences,
    }
    for option, value in options.items():
        if value is not None:
            command += [option, str(value)]
    return command
