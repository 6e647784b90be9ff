"""A soak: half an hour of mixed load on one server, a fifth of it aborted, and then the books.

python -m tests.abuse.soak [SECONDS]
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import Any

import httpx
import psutil

from tests.abuse.alive import WatchedServer, until, watched
from tests.abuse.resident import Resident, resident
from tests.gguf_factory import write_tiny_gguf

CONTEXT = 8192
USERS = 8
ABORTED = 0.2
TIMEOUT = 300.0
"""Seconds, so that a machine may sleep for a while."""
SAMPLES = 60
CACHE = "32M"
"""Of the disk, so that it is full within minutes: what is on it is known in memory too."""
EVERY, BREAK = 30.0, 3.0
"""Seconds after which all users rest, and for how long: blocks are written then."""
SLOPE = 0.03
"""Most growth of memory that is no file's from the second quarter of the time to its last."""
PATHS = ["/v1/chat/completions"] * 6 + ["/v1/completions", "/v1/responses", "/v1/messages"]
ENDS = ("data: [DONE]", "event: message_stop", "event: response.")
ENDING = 10.0
"""Seconds that the server may take to end."""
SCHEMA = {
    "type": "object",
    "properties": {"apples": {"type": "integer"}},
    "required": ["apples"],
    "additionalProperties": False,
}


class Soak:
    """Users who ask at random until the time is up.

    Attributes:
        counts: answers by status.
        memory: samples of the server's.
        engine_memory: of the engine's.
        files: open files, likewise.
        requests: how many were answered or aborted by then.
    """

    def __init__(self, server: WatchedServer, seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self.memory: list[Resident] = []
        self.engine_memory: list[Resident] = []
        self.files: list[int] = []
        self.requests: list[int] = []
        self._server = server
        self._process = psutil.Process(server.process.pid)
        self._ends = time.monotonic() + seconds
        self._tick = seconds / SAMPLES

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=self._server.url, timeout=TIMEOUT, limits=limits
        ) as client:
            users = (self._user(client, random.Random(seed)) for seed in range(USERS))
            await asyncio.gather(self._sample(), *users)

    async def _sample(self) -> None:
        while time.monotonic() < self._ends:
            self.memory.append(resident([self._process]))
            self.engine_memory.append(resident(self._server.engines))
            self.files.append(self._server.files)
            self.requests.append(self.counts.total())
            await asyncio.sleep(self._tick)

    async def _user(self, client: httpx.AsyncClient, rng: random.Random) -> None:
        while time.monotonic() < self._ends:
            await self._rest()
            path = rng.choice(PATHS)
            body = self._body(rng, path)
            patience = rng.uniform(0.001, 0.2) if rng.random() < ABORTED else None
            try:
                status = await asyncio.wait_for(self._ask(client, path, body), patience)
            except asyncio.TimeoutError:
                self.counts["aborted"] += 1
            else:
                self.counts[str(status)] += 1

    async def _rest(self) -> None:
        left = EVERY - time.monotonic() % EVERY
        if left < BREAK:
            await asyncio.sleep(left)

    async def _ask(self, client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> int:
        async with client.stream("POST", path, json=body) as reply:
            text = (await reply.aread()).decode()
        if reply.status_code == 200 and body["stream"]:
            last = text.rstrip("\n").rpartition("\n\n")[2]
            assert any(end in last for end in ENDS), text[-500:]
        return reply.status_code

    def _body(self, rng: random.Random, path: str) -> dict[str, Any]:
        words = 400 if rng.random() < 0.02 else rng.choice([1, 5, 20, 50, 100])
        system = f"You are number {rng.randrange(20)}. " * 10
        user = f"{rng.randrange(1000)} apples " * words
        tokens = rng.choice([1, 8, 40, 200])
        body: dict[str, Any] = {
            "model": "tiny",
            "stream": rng.random() < 0.7,
            "temperature": rng.choice([0, 0.7, 1]),
        }
        if rng.random() < 0.05:
            body["temperature"] = "none"
        if path == "/v1/responses":
            return body | {"input": user, "instructions": system, "max_output_tokens": 16 + tokens}
        body["max_tokens"] = tokens
        if path == "/v1/completions":
            return body | {"prompt": system + user, "logprobs": rng.choice([None, 3])}
        messages = [{"role": "user", "content": user}]
        if path == "/v1/messages":
            return body | {"messages": messages, "system": system}
        if rng.random() < 0.1:
            schema = {"name": "apples", "strict": True, "schema": SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body | {
            "messages": [{"role": "system", "content": system}, *messages],
            "n": rng.choice([1, 1, 1, 3]),
            "stop": rng.choice([[], ["\n\n\n"]]),
        }


def main(seconds: float) -> None:
    """Soak, print what happened, and fail if the server is not as it was."""
    # After a failure the engine, which ends after the server, may still write to it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        model = write_tiny_gguf(Path(folder) / "tiny.gguf", n_ctx=32768)
        cache = ("--cache-dir", folder, "--cache-size", CACHE)
        with watched(str(model), "--ctx-size", str(CONTEXT), *cache) as server:
            warm_up = Soak(server, min(30.0, seconds / 4))
            asyncio.run(warm_up.run())
            _take_the_largest_steps(server)
            with server.unharmed():
                soak = Soak(server, seconds)
                asyncio.run(soak.run())
                _report(soak, seconds)
                _check_books(server)
            server.process.terminate()
            assert server.process.wait(ENDING) == 0


def _take_the_largest_steps(server: WatchedServer) -> None:
    """Memory that is set aside for steps is only taken when a step is first so large."""
    _use_all_cells(server)
    texts = [f"{user} apples " * 400 for user in range(USERS)]
    for _ in range(3):
        with ThreadPoolExecutor(USERS) as users:
            replies = users.map(
                lambda text: server.post(
                    server.body(messages=[{"role": "user", "content": text}], max_tokens=200)
                ),
                texts,
            )
            assert {reply.status_code for reply in replies} == {200}


def _use_all_cells(server: WatchedServer) -> None:
    body = {"model": "tiny", "prompt": [1] * (CONTEXT - 1), "max_tokens": 1}
    usage = server.post(body, "/v1/completions").json()["usage"]
    print(f"one request with all cells: {usage['prompt_tokens']} + {usage['completion_tokens']}")
    assert usage["total_tokens"] == CONTEXT


def _check_books(server: WatchedServer) -> None:
    """Nothing runs or waits, every cell is free or kept for later, and all of them can be used."""
    until(lambda: not server.metrics()["requests_running"], 2, "something still runs")
    told = server.metrics()
    used, idle = told["kv_cache_used_tokens"], told["kv_cache_idle_tokens"]
    print(
        f"running 0, waiting {told['requests_waiting']:.0f}; {used:.0f} cells used, {idle:.0f} kept"
    )
    assert told["requests_waiting"] == 0
    assert used == idle
    _use_all_cells(server)


def _report(soak: Soak, seconds: float) -> None:
    print(f"{soak.counts.total()} requests in {seconds:g} s: {dict(soak.counts)}")
    print(f"open files {soak.files[0]} → {soak.files[-1]}, most {max(soak.files)}")
    _report_memory("server", soak.memory, soak.requests)
    _report_memory("engine", soak.engine_memory, soak.requests)
    assert set(soak.counts) <= {"200", "400", "429", "aborted"}


def _report_memory(name: str, memory: list[Resident], requests: list[int]) -> None:
    quarter = len(memory) // 4
    early, late = slice(quarter, 2 * quarter), slice(-quarter, None)
    own = [each.own for each in memory]
    before, after = mean(own[early]), mean(own[late])
    growth = (after - before) / (mean(requests[late]) - mean(requests[early]))
    print(f"{name} {memory[0]} → {memory[-1]}")
    tenths = (own[tenth * (len(own) - 1) // 10] for tenth in range(11))
    print(f"  by tenths of the time: {' '.join(f'{each / 1e6:.1f}' for each in tenths)} MB")
    print(f"  in the half {after / before - 1:+.1%}, {growth:.0f} bytes a request")
    assert after / before - 1 < SLOPE


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 1800.0)
