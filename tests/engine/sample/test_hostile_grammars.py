"""Grammars that are made to take long."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from edge_llama.chat.grammar.client_grammar import client_grammar
from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.protocol.grammar import Grammar, Regex
from edge_llama.engine.protocol.prompt import Text
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import RequestError

PROMPT = (Text("a fine day to be out and about"),)
HOT = SamplingParams(temperature=2, seed=1)
ENDLESS = SamplingParams(temperature=0, ignore_eos=True)
LETTERS = "abcdefgh"
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


async def attack(engine: AsyncEngine, name: str) -> float:
    """Have a hostile grammar written for some tokens; the seconds until it is taken or refused."""
    began = time.perf_counter()
    try:
        request = GenerationRequest(
            prompt=PROMPT,
            options=GenerationOptions(sampling=HOT, max_tokens=10, grammar=HOSTILE[name]()),
        )
        generation = await engine.submit(request)
    except RequestError:
        return time.perf_counter() - began
    answered = time.perf_counter()
    async for _ in generation:
        pass
    return answered - began


async def longest_gap(engine: AsyncEngine, meanwhile: Awaitable[float]) -> tuple[float, float]:
    """Between the tokens of a stream; and what the other one tells."""
    request = GenerationRequest(
        prompt=PROMPT, options=GenerationOptions(sampling=ENDLESS, max_tokens=450)
    )
    stream = await engine.submit(request)
    times: list[float] = []

    async def read() -> None:
        async for output in stream:
            times.extend(time.perf_counter() for _ in output.tokens)

    reading = asyncio.create_task(read())
    seconds = await meanwhile
    stream.abort()
    reading.cancel()
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0), seconds


@pytest.mark.timeout(120)
async def test_hostile_grammars_are_answered_soon_and_hold_up_nobody(engine: AsyncEngine) -> None:
    pid = engine.pid
    slow = {}
    for name in HOSTILE:
        gap, seconds = await longest_gap(engine, attack(engine, name))
        if gap > 0.5 or seconds > 1.5:
            slow[name] = (gap, seconds)
    assert not slow
    assert engine.pid == pid
