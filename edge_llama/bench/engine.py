"""The engine through its asyncio client: what scheduling and the pipes between processes cost."""

from __future__ import annotations

import asyncio
import time

from edge_llama.bench.scenarios import SAMPLING, Scenario, Stream, ordinary_ids, prompt_ids
from edge_llama.config import EngineSettings
from edge_llama.engine.client import AsyncEngine
from edge_llama.engine.messages import GenerationRequest
from edge_llama.engine.prompt import Tokens


class EngineTarget:
    """AsyncEngine with its child process, fed with token ids."""

    name = "engine"

    def __init__(self, settings: EngineSettings) -> None:
        self._engine = AsyncEngine(settings)
        self._ordinary: list[int] = []

    async def __aenter__(self) -> EngineTarget:
        await self._engine.__aenter__()
        info = self._engine.info
        self._ordinary = ordinary_ids(info.n_vocab, list(info.control_tokens.values()))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._engine.stop()

    async def run(self, scenario: Scenario, seed: int) -> list[Stream]:
        """One run of a load.

        Raises:
            EngineDied: the engine process ended.
        """
        prompts = prompt_ids(scenario, seed, self._ordinary)
        start = time.perf_counter()
        return await asyncio.gather(
            *(self._stream(prompt, scenario.output_tokens, start) for prompt in prompts)
        )

    async def _stream(self, prompt: tuple[int, ...], n_tokens: int, start: float) -> Stream:
        request = GenerationRequest(
            prompt=(Tokens(prompt),), sampling=SAMPLING, max_tokens=n_tokens
        )
        generation = await self._engine.submit(request)
        count, cached, first, last = 0, 0, 0.0, 0.0
        async for output in generation:
            last = time.perf_counter() - start
            first = first or last
            count += len(output.tokens)
            cached = output.cached_tokens
        return Stream(len(prompt), cached, count, first, last)
