"""Grammars that are made to take long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest_asyncio

from edge_llama.chat.grammar.client_grammar import client_grammar
from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.client.generation import Generation
from edge_llama.engine.protocol.grammar import Grammar, Regex
from edge_llama.engine.protocol.prompt import Text
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import RequestError
from edge_llama.settings.engine import EngineSettings
from tests.effort import at_most, check_effort, cpu_seconds, own_cpu_seconds

PROMPT = (Text("a fine day to be out and about"),)
HOT = SamplingParams(temperature=2, seed=1)
ENDLESS = SamplingParams(temperature=0, ignore_eos=True)
LETTERS = "abcdefgh"
ANSWERED_IN, HELD_UP_FOR = 3000, 200
"""Rounds of the control: for the engine and its children, with the stream; for the engine alone."""
TOKENS_A_SECOND = 300
"""Of the stream, for each second of CPU time that a child takes: it has five times as many."""
TICK = 0.1
"""How fine CPU time is told, a few times over."""
SUBSTRINGS = "".join(random.Random(3).choices("ab", k=30_000))


def schema(**keywords: object) -> Callable[[], Grammar]:
    return lambda: json_schema_grammar(keywords, param="s")


def lark(text: str) -> Callable[[], Grammar]:
    return lambda: client_grammar(text, param="grammar")


def regex(text: str) -> Callable[[], Grammar]:
    return lambda: Regex(text)


def objects(n: int) -> list[dict[str, object]]:
    return [{"properties": {f"k{i}": {"const": i}}, "required": [f"k{i}"]} for i in range(n)]


HOSTILE = {
    "nested stars": regex("((a|aa)+b*)*c"),
    "long repeats": regex("(.{0,300}a.{0,300}b){0,30}"),
    "repeated repeats": regex("(a{30000}){30000}"),
    "unicode repeats": regex(r"(\w+\s?){0,1000}"),
    "many choices": regex("|".join(f"x{i}y*[a-z]+" for i in range(15_000))),
    "patterns together": schema(
        allOf=[{"pattern": f"^.*{each}.{{{9 + i}}}$"} for i, each in enumerate(LETTERS)]
    ),
    "pattern and length": schema(pattern="^(a|aa)+$", minLength=1000, maxLength=20_000),
    "names that may be left out": schema(properties={f"p{i}": {} for i in range(500)}),
    "patterns of names": schema(
        patternProperties={f"^x{i}_": {} for i in range(50)}, additionalProperties=False
    ),
    "choices times choices": schema(allOf=[{"anyOf": objects(6)} for _ in range(8)]),
    "many objects": schema(anyOf=objects(900)),
    "objects as values": schema(enum=[{"a": i, "b": [i]} for i in range(1300)]),
    "many formats": schema(prefixItems=[{"format": "uri"}] * 400),
    "many bounds": schema(prefixItems=[{"minimum": i + 0.123} for i in range(800)]),
    "many multiples": schema(prefixItems=[{"multipleOf": 9973, "minimum": i} for i in range(300)]),
    "many items": schema(type="array", items={"const": "a" * 150}, minItems=200),
    "far too many items": schema(type="array", items={"const": "a" * 1500}, minItems=1000),
    "an ambiguous grammar": lark('start: a\na: a a | "x" | a a a'),
    "empty rules": lark("start: a*\na: b*\nb: c*\nc: /[xy]/*"),
    "many rules": lark("start: " + " | ".join(f'"a{i}"' for i in range(3500))),
    "many classes": lark("root ::= " + " ".join(f"[a-z{i % 10}]*" for i in range(2500))),
    "terminals together": lark(
        "start: A\nA: " + " & ".join(f"/(?s:.*){each}(?s:.{{12}})/" for each in LETTERS)
    ),
    "parts that may be left out": regex("(a|b|c)?" * 25_000),
    "nested parts that may be left out": lark(
        "start: X5\nX0: /[abc]?/\n"
        + "\n".join(f"X{i + 1}: " + " ".join([f"X{i}"] * 10) for i in range(5))
    ),
    "substrings": lark(f'start: A\nA: %regex {{"substring_chars": "{SUBSTRINGS}"}}'),
}


@pytest_asyncio.fixture
async def engine(tiny_gguf: Path) -> AsyncIterator[AsyncEngine]:
    """With room for a stream that goes on for longer than an attack."""
    settings = EngineSettings(model=str(tiny_gguf), ctx_size=4096, parallel=3, threads=1)
    async with AsyncEngine(settings) as engine:
        yield engine


class Watched:
    """A stream that goes on while something else is done, and what the engine does meanwhile.

    Attributes:
        tokens: of the stream, until now.
        gap: the most CPU time that the engine itself took between two of them.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        assert engine.pid is not None
        self.tokens = 0
        self.gap = 0.0
        self._engine = engine
        self._process = psutil.Process(engine.pid)
        self._since = 0.0
        self._began = asyncio.Event()

    @property
    def own_seconds(self) -> float:
        """CPU time of the engine itself."""
        return own_cpu_seconds(self._process)

    @property
    def beside_seconds(self) -> float:
        """CPU time of its children."""
        return cpu_seconds(self._process.pid) - self.own_seconds

    @asynccontextmanager
    async def streaming(self) -> AsyncIterator[None]:
        request = GenerationRequest(
            prompt=PROMPT, options=GenerationOptions(sampling=ENDLESS, max_tokens=4000)
        )
        async with await self._engine.submit(request) as stream:
            reading = asyncio.create_task(self._read(stream))
            await self._began.wait()
            yield
            reading.cancel()

    async def _read(self, stream: Generation) -> None:
        async for output in stream:
            self.tokens += len(output.tokens)
            now = self.own_seconds
            self.gap = max(self.gap, now - (self._since or now))
            self._since = now
            self._began.set()


async def attack(engine: AsyncEngine, name: str) -> None:
    """Have a hostile grammar written for some tokens beside a stream.

    The machine may be busy. So it is not seconds that must be few between two tokens, but what the
    engine computes in between; and the stream must go on while a child tries the grammar.
    """
    print(name)
    with at_most(ANSWERED_IN):
        try:
            grammar = HOSTILE[name]()
        except RequestError:
            return
    watched = Watched(engine)
    async with watched.streaming():
        own, beside, before = watched.own_seconds, watched.beside_seconds, watched.tokens
        try:
            request = GenerationRequest(
                prompt=PROMPT,
                options=GenerationOptions(sampling=HOT, max_tokens=10, grammar=grammar),
            )
            generation: Generation | None = await engine.submit(request)
        except RequestError:
            generation = None
        own, beside = watched.own_seconds - own, watched.beside_seconds - beside
        tokens = watched.tokens - before
        if generation is not None:
            async for _ in generation:
                pass
    check_effort(own + beside, ANSWERED_IN)
    check_effort(watched.gap, HELD_UP_FOR)
    assert tokens >= TOKENS_A_SECOND * (beside - TICK)


async def test_hostile_grammars_are_answered_soon_and_hold_up_nobody(engine: AsyncEngine) -> None:
    pid = engine.pid
    for name in HOSTILE:
        await attack(engine, name)
    assert engine.pid == pid
