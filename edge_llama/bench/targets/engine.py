"""The engine through its asyncio client: what scheduling and the pipes between processes cost."""

from __future__ import annotations

from collections.abc import Callable

from edge_llama.bench.load.client import Reply, play
from edge_llama.bench.load.load import Load
from edge_llama.bench.load.stream import Stream
from edge_llama.bench.load.token_prompts import SAMPLING, TokenPrompts
from edge_llama.bench.targets.target import ENGINE
from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.protocol.grammar import JSONSchema
from edge_llama.engine.protocol.prompt import Tokens
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.settings.engine import EngineSettings


class EngineTarget:
    """AsyncEngine with its child process, fed with token ids."""

    name = ENGINE

    def __init__(self, settings: EngineSettings) -> None:
        self._engine = AsyncEngine(settings)
        self._prompts = TokenPrompts(0, ())

    async def __aenter__(self) -> EngineTarget:
        await self._engine.__aenter__()
        info = self._engine.info
        self._prompts = TokenPrompts(info.n_vocab, list(info.control_tokens.values()))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._engine.stop()

    async def run(self, load: Load, seed: int) -> list[Stream]:
        """One run of a load.

        Raises:
            EngineDied: the engine process ended.
        """
        return await play(self, load, seed)

    def system(self, n_tokens: int, seed: str) -> tuple[int, ...]:
        return self._prompts.of(n_tokens, seed)

    def user(self, n_tokens: int, seed: str) -> tuple[int, ...]:
        return self._prompts.of(n_tokens, seed)

    async def ask(
        self,
        prompt: tuple[int, ...],
        n_tokens: int,
        on_output: Callable[[], None],
        schema: str | None = None,
    ) -> Reply[int]:
        request = GenerationRequest(
            prompt=(Tokens(prompt),),
            options=GenerationOptions(
                sampling=SAMPLING,
                max_tokens=n_tokens,
                grammar=None if schema is None else JSONSchema(schema),
            ),
        )
        answer: list[int] = []
        cached = 0
        async with await self._engine.submit(request) as generation:
            async for output in generation:
                on_output()
                answer += output.tokens
                cached = output.cached_tokens
        return Reply(len(prompt), cached, len(answer), tuple(answer))
