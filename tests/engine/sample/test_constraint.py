"""Outputs with a form, from a model with random weights."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import pytest_asyncio

from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.protocol.grammar import (
    CFG,
    Grammar,
    JSONSchema,
    Regex,
    Trigger,
    TriggeredCFG,
)
from edge_llama.engine.protocol.output import FinishReason, Output
from edge_llama.engine.protocol.prompt import Text
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import InvalidValue
from edge_llama.settings.engine import EngineSettings
from tests.effort import PATIENCE, at_most
from tests.engine.sample.schemas import SCHEMAS, obj

PROMPT = (Text("a fine day to be out and about"),)
HOT = SamplingParams(temperature=2, top_p=1)
GREEDY = SamplingParams(temperature=0)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tiny_gguf: Path) -> AsyncIterator[AsyncEngine]:
    """One for all of them, which no grammar may harm."""
    settings = EngineSettings(model=str(tiny_gguf), ctx_size=512, parallel=3, threads=1)
    async with AsyncEngine(settings) as engine:
        yield engine


async def run(engine: AsyncEngine, grammar: Grammar, **fields: Any) -> list[Output]:
    request = GenerationRequest(prompt=PROMPT, options=GenerationOptions(grammar=grammar, **fields))
    return [output async for output in await engine.submit(request)]


def text_of(outputs: list[Output], errors: str = "strict") -> str:
    return b"".join(piece for output in outputs for piece in output.pieces).decode(errors=errors)


def schema(schema: dict[str, Any]) -> JSONSchema:
    return json_schema_grammar(schema, param="schema")


def faults(text: str, schema: dict[str, Any]) -> list[str]:
    """What makes a text invalid."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return [f"not JSON: {error}"]
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    here = {key: value for key, value in schema.items() if key != "$schema"}
    validator = jsonschema.Draft202012Validator(here, format_checker=checker)
    return [error.message for error in validator.iter_errors(value)]


async def generate(engine: AsyncEngine, name: str, seed: int) -> Counter[str]:
    """Eight outputs in the form of a schema, counted by what is right and wrong with them."""
    sampling = SamplingParams(temperature=2, top_p=1, seed=8 * seed)
    outputs = await run(engine, schema(SCHEMAS[name]), sampling=sampling, max_tokens=150, n=8)
    counts = Counter[str]()
    for index in range(8):
        own = [output for output in outputs if output.index == index]
        if own[-1].finish is FinishReason.STOP:
            text = text_of(own)
            counts.update(
                [f"{text}: {fault}" for fault in faults(text, SCHEMAS[name])] or ["valid"]
            )
        else:
            counts[str(own[-1].finish)] += 1
    return counts


@pytest.mark.timeout(1800)
async def test_whatever_the_model_says_is_valid(engine: AsyncEngine) -> None:
    runs = int(os.environ.get("EDGE_LLAMA_TEST_OUTPUTS", "400"))
    repeats = -(-runs // (8 * len(SCHEMAS)))
    totals = Counter[str]()
    for seed in range(repeats):
        for counts in await asyncio.gather(*(generate(engine, name, seed) for name in SCHEMAS)):
            totals += counts
    assert set(totals) == {"valid", str(FinishReason.LENGTH)}
    assert totals["valid"] > runs / 2


async def test_what_must_follow_comes_without_sampling(engine: AsyncEngine) -> None:
    form = schema(obj(quantity={"const": 1}, customer={"const": 2}))
    text = '{"quantity": 1, "customer": 2}'
    jumped = await run(engine, form)
    assert text_of(jumped) == text
    assert len(jumped) == 1
    stepped = await run(engine, form, logprobs=0)
    assert text_of(stepped) == text
    for outputs in (jumped, stepped):
        assert outputs[-1].finish is FinishReason.STOP
        assert outputs[-1].tokens[-1] == engine.info.control_tokens["<|eot_id|>"]
    assert [t for o in jumped for t in o.tokens] == [t for o in stepped for t in o.tokens]


async def test_what_must_follow_ends_at_max_tokens(engine: AsyncEngine) -> None:
    form = schema(obj(quantity={"const": 1}, customer={"const": 2}))
    for n in (1, 3, 7):
        outputs = await run(engine, form, max_tokens=n)
        assert outputs[-1].finish is FinishReason.LENGTH
        assert sum(len(output.tokens) for output in outputs) == n


@pytest.mark.parametrize(
    ("grammar", "texts"),
    [
        (CFG('root ::= "yes" | "no"'), {"yes", "no"}),
        (CFG('root ::= pair\npair ::= "(" [ab] ")"'), {"(a)", "(b)"}),
        (CFG('start: "x" (A | "c")\nA: /[ab]/'), {"xa", "xb", "xc"}),
        (Regex("[0-9]{2}|a/b"), {"a/b"} | {f"{n:02}" for n in range(100)}),
        (Regex(r"\d"), set("0123456789")),
        (schema({"enum": ["a", 1]}), {'"a"', "1"}),
    ],
)
async def test_all_kinds_of_grammars(
    engine: AsyncEngine, grammar: Grammar, texts: set[str]
) -> None:
    for sampling in (HOT, GREEDY, SamplingParams(temperature=1, top_k=3, repetition_penalty=1.3)):
        outputs = await run(engine, grammar, sampling=sampling, max_tokens=50)
        assert text_of(outputs) in texts
        assert outputs[-1].finish is FinishReason.STOP


@pytest.mark.parametrize("sampling", [HOT, SamplingParams(temperature=2, top_k=40, seed=1)])
async def test_a_text_is_free_until_a_trigger(
    engine: AsyncEngine, sampling: SamplingParams
) -> None:
    grammar = TriggeredCFG(
        text='start: "<" /[0-9]{3}/ ">"',
        triggers=(Trigger("a", "<"), Trigger("e", "<"), Trigger("z", "<1", at_start=True)),
        control=(),
        param="form",
    )
    outputs = await run(engine, grammar, sampling=sampling, max_tokens=300, n=8)
    formed = 0
    for index in range(8):
        text = text_of([output for output in outputs if output.index == index], errors="replace")
        assert re.fullmatch(r"(?s:[^ae]*)([ae][0-9]{0,3}|[ae][0-9]{3}>|)", text) or text[0] == "z"
        formed += text.endswith(">")
    assert formed


async def test_a_complete_output_ends_whatever_else_is_asked(engine: AsyncEngine) -> None:
    eot = engine.info.control_tokens["<|eot_id|>"]
    endless = SamplingParams(ignore_eos=True, min_tokens=30, logit_bias={eot: -100})
    for logprobs in (None, 1):
        outputs = await run(engine, CFG('root ::= "yes"'), sampling=endless, logprobs=logprobs)
        assert text_of(outputs) == "yes"
        assert outputs[-1].finish is FinishReason.STOP


@pytest.mark.parametrize(
    ("grammar", "fault"),
    [
        (CFG("start: ("), "Expected"),
        (CFG("root ::= nothing"), "Rule 'nothing' not found"),
        (CFG("root ::= " + "(" * 60_000), "nested too deeply; make it flatter"),
        (CFG("start: " + "(" * 60_000), "nested"),
        (CFG("start: A\nA: /a/ & /b/"), "allows no output"),
        (CFG("x" * 300_000), "at most 262144 are possible"),
        (Regex("(["), "unclosed character class"),
        (Regex("(" * 60_000 + ")" * 60_000), "nest"),
        (Regex(r"(a)\1"), "backreferences are not supported"),
        (JSONSchema('{"$ref": "#"}', "schema"), "allows no output"),
        (JSONSchema('{"$ref": "http://127.0.0.1:9/x"}', "schema"), "does not fetch"),
        (JSONSchema('{"type": "string", "minLength": 2, "maxLength": 1}', "schema"), "minLength"),
        (JSONSchema('{"oneOf": [{"enum": [1, 2]}, {"enum": [3, 4]}]}', "schema"), "use anyOf"),
        (JSONSchema('{"minItems": 20000, "items": {"const": 1}, "type": "array"}'), "Too many"),
        (JSONSchema("[" * 20_000, "schema"), "recursion limit"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)
async def test_what_cannot_be_used_is_refused(
    engine: AsyncEngine, grammar: Grammar, fault: str
) -> None:
    with at_most(1000, engine.pid), pytest.raises(InvalidValue, match=re.escape(fault)) as error:
        await run(engine, grammar)
    assert error.value.param == grammar.param
    assert text_of(await run(engine, CFG('root ::= "yes"'))) == "yes"


async def test_forms_and_free_texts_do_not_disturb_each_other(engine: AsyncEngine) -> None:
    form = schema(obj(quantity={"const": 1}, customer={"enum": ["a", "b"]}, item={"const": "c"}))
    free = GenerationRequest(
        prompt=PROMPT, options=GenerationOptions(sampling=GREEDY, max_tokens=60)
    )

    async def talk() -> list[int]:
        return [token async for output in await engine.submit(free) for token in output.tokens]

    async def fill() -> str:
        return text_of(await run(engine, form, sampling=GREEDY))

    alone = await talk(), await fill()
    together = tuple(await asyncio.gather(talk(), fill(), fill(), talk(), fill()))
    assert together == (alone[0], alone[1], alone[1], alone[0], alone[1])
    assert json.loads(alone[1]).keys() == {"quantity", "customer", "item"}


async def test_leaving_while_a_grammar_is_compiled(engine: AsyncEngine) -> None:
    slow = CFG("start: " + " | ".join(f'"a{i}"' for i in range(9000)))
    for _ in range(5):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(
                engine.submit(
                    GenerationRequest(prompt=PROMPT, options=GenerationOptions(grammar=slow))
                ),
                0.001,
            )
    # The aborted ones hold no place: as many as may run at once are done in time.
    yes = CFG('root ::= "yes"')
    texts = await asyncio.wait_for(asyncio.gather(*(run(engine, yes) for _ in range(4))), PATIENCE)
    assert [text_of(outputs) for outputs in texts] == ["yes"] * 4


@pytest.mark.timeout(1800)
async def test_memory_does_not_grow_with_the_number_of_schemas(engine: AsyncEngine) -> None:
    schemas = int(os.environ.get("EDGE_LLAMA_TEST_SCHEMAS", "300"))
    assert engine.pid is not None
    process = psutil.Process(engine.pid)

    async def ask(numbers: range) -> None:
        for number in numbers:
            form = schema(obj(**{f"key_{number}": {"enum": [number, f"{number}"]}}))
            await run(engine, form, max_tokens=4)

    await ask(range(50))
    before = process.memory_info().rss
    await ask(range(50, 50 + schemas))
    assert process.memory_info().rss - before < 32e6
