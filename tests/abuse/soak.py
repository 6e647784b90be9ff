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
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.abuse.alive import WatchedServer, watched
from tests.gguf_factory import write_tiny_gguf

USERS = 8
ABORTED = 0.2
SAMPLES = 60
SLOPE = 0.15
"""Most growth of the server's memory from the second quarter of the time to its last."""


class Soak:
    """Users who ask at random until the time is up."""

    def __init__(self, server: WatchedServer, seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self.memory: list[int] = []
        self.engine_memory: list[int] = []
        self._server = server
        self._ends = time.monotonic() + seconds
        self._tick = seconds / SAMPLES

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=self._server.url, timeout=60, limits=limits
        ) as client:
            users = (self._user(client, random.Random(seed)) for seed in range(USERS))
            await asyncio.gather(self._sample(), *users)

    async def _sample(self) -> None:
        while time.monotonic() < self._ends:
            self.memory.append(self._server.memory)
            self.engine_memory.append(self._server.engine_memory)
            await asyncio.sleep(self._tick)

    async def _user(self, client: httpx.AsyncClient, rng: random.Random) -> None:
        while time.monotonic() < self._ends:
            body = self._body(rng)
            patience = rng.uniform(0.001, 0.2) if rng.random() < ABORTED else None
            try:
                status = await asyncio.wait_for(self._ask(client, body), patience)
            except asyncio.TimeoutError:
                self.counts["aborted"] += 1
            else:
                self.counts[str(status)] += 1

    async def _ask(self, client: httpx.AsyncClient, body: dict[str, Any]) -> int:
        async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
            text = (await reply.aread()).decode()
        if reply.status_code == 200 and body["stream"]:
            assert text.endswith("data: [DONE]\n\n"), text[-500:]
        return reply.status_code

    def _body(self, rng: random.Random) -> dict[str, Any]:
        words = 400 if rng.random() < 0.02 else rng.choice([1, 5, 20, 50, 100])
        system = {"role": "system", "content": f"You are number {rng.randrange(20)}. " * 10}
        user = {"role": "user", "content": f"{rng.randrange(1000)} apples " * words}
        fields: dict[str, Any] = {
            "messages": [system, user],
            "stream": rng.random() < 0.7,
            "max_tokens": rng.choice([1, 8, 40, 200]),
            "temperature": rng.choice([0, 0.7, 2]),
            "n": rng.choice([1, 1, 1, 3]),
            "stop": rng.choice([[], ["\n\n\n"]]),
        }
        if rng.random() < 0.05:
            fields["n"] = "none"
        return self._server.body(**fields)


def main(seconds: float) -> None:
    """Soak, print what happened, and fail if the server is not as it was."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_gguf(Path(folder) / "tiny.gguf", n_ctx=32768)
        with watched(str(model), "--ctx-size", "8192") as server:
            warm_up = Soak(server, min(30.0, seconds / 4))
            asyncio.run(warm_up.run())
            with server.unharmed():
                soak = Soak(server, seconds)
                asyncio.run(soak.run())
                _report(soak, seconds)


def _report(soak: Soak, seconds: float) -> None:
    quarter = len(soak.memory) // 4
    early, late = soak.memory[quarter : 2 * quarter], soak.memory[-quarter:]
    slope = (sum(late) / len(late)) / (sum(early) / len(early)) - 1
    print(f"{soak.counts.total()} requests in {seconds:g} s: {dict(soak.counts)}")
    print(f"server {early[0] / 1e6:.0f} → {late[-1] / 1e6:.0f} MB ({slope:+.1%} over the half)")
    print(f"engine {soak.engine_memory[0] / 1e6:.0f} → {soak.engine_memory[-1] / 1e6:.0f} MB")
    assert set(soak.counts) <= {"200", "400", "429", "aborted"}
    assert slope < SLOPE


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 1800.0)
