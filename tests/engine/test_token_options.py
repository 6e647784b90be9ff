"""What a request asks of its single tokens, with the real engine."""

from __future__ import annotations

import pytest

from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.protocol.output import FinishReason, Output, ScoredToken
from edge_llama.engine.protocol.prompt import Control, Text, Tokens
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import InvalidValue

PROMPT = (Text("a fine day to be out and about"),)


async def run(engine: AsyncEngine, **fields: object) -> list[Output]:
    request = GenerationRequest(prompt=PROMPT, options=GenerationOptions(**fields))  # type: ignore[arg-type]
    return [output async for output in await engine.submit(request)]


def entries(outputs: list[Output]) -> list[ScoredToken]:
    return [entry for output in outputs for entry in output.logprobs]


async def test_every_token_has_an_entry(engine: AsyncEngine) -> None:
    greedy = SamplingParams(temperature=0, ignore_eos=True)
    outputs = await run(engine, sampling=greedy, max_tokens=6, logprobs=4)
    assert [each.token for each in entries(outputs)] == [t for o in outputs for t in o.tokens]
    for entry in entries(outputs):
        assert entry.top[0].token == entry.token
        assert entry.top[0].logprob == entry.logprob
        logprobs = [each.logprob for each in entry.top]
        assert len(logprobs) == 4
        assert logprobs == sorted(logprobs, reverse=True)
        assert all(logprob <= 0 for logprob in logprobs)


async def test_sampling_does_not_change_them(engine: AsyncEngine) -> None:
    greedy = SamplingParams(temperature=0)
    [plain] = entries(await run(engine, sampling=greedy, max_tokens=1, logprobs=20))
    other = plain.top[7].token
    changed = SamplingParams(
        temperature=2, logit_bias={other: 100}, presence_penalty=2, repetition_penalty=3
    )
    [biased] = entries(await run(engine, sampling=changed, max_tokens=1, logprobs=20))
    assert biased.token == other
    assert biased.logprob == pytest.approx(plain.top[7].logprob, abs=1e-3)
    assert [each.token for each in biased.top[:7]] == [each.token for each in plain.top[:7]]


async def test_nothing_is_told_unasked(engine: AsyncEngine) -> None:
    assert entries(await run(engine, max_tokens=2)) == []
    [entry] = entries(await run(engine, max_tokens=1, logprobs=0))
    assert entry.top == ()


async def test_it_does_not_end_before_min_tokens(engine: AsyncEngine) -> None:
    eot = engine.info.control_tokens["<|eot_id|>"]
    for temperature in (0, 1):
        sampling = SamplingParams(temperature=temperature, logit_bias={eot: 100}, min_tokens=5)
        outputs = await run(engine, sampling=sampling, max_tokens=20)
        tokens = [token for output in outputs for token in output.tokens]
        assert tokens.index(eot) == 5
        assert outputs[-1].finish is FinishReason.STOP


async def score(engine: AsyncEngine, tokens: list[int], n_top: int = 0) -> list[ScoredToken]:
    request = GenerationRequest(
        prompt=(Tokens(tuple(tokens)),),
        options=GenerationOptions(max_tokens=0, prompt_logprobs=n_top),
    )
    outputs = [output async for output in await engine.submit(request)]
    assert [output.finish for output in outputs][-1] is FinishReason.LENGTH
    return [entry for output in outputs for entry in output.prompt_logprobs]


async def test_a_prompt_is_scored_as_the_same_output_was(engine: AsyncEngine) -> None:
    greedy = SamplingParams(temperature=0, ignore_eos=True)
    told = entries(await run(engine, sampling=greedy, max_tokens=150, logprobs=2))
    prompt = (await engine.tokenize(PROMPT)).tokens
    tokens = [*prompt, *(entry.token for entry in told)]
    for _ in range(2):  # the second time all of it is cached
        scored = await score(engine, tokens, 2)
        assert [entry.token for entry in scored] == tokens[1:]
        for mine, theirs in zip(scored[len(prompt) - 1 :], told, strict=True):
            assert mine.logprob == pytest.approx(theirs.logprob, abs=2e-3)
            assert mine.top[0].logprob == pytest.approx(theirs.top[0].logprob, abs=2e-3)


async def test_a_prompt_may_fill_the_context_if_nothing_follows(engine: AsyncEngine) -> None:
    assert len(await score(engine, [7] * 512)) == 511
    assert await score(engine, [7]) == []


async def test_tokens_of_a_prompt(engine: AsyncEngine) -> None:
    text = "naïve 👋"
    found = await engine.tokenize((Control("<|begin_of_text|>"), Text(text)))
    assert found.tokens[0] == engine.info.control_tokens["<|begin_of_text|>"]
    assert found.pieces[found.tokens[0]] == b""
    assert b"".join(found.pieces[token] for token in found.tokens) == text.encode()
    again = await engine.tokenize((Tokens(tuple(found.tokens)),))
    assert (again.tokens, again.pieces) == (found.tokens, found.pieces)
    assert len((await engine.tokenize(())).tokens) == 0
    for unknown in (Tokens((512,)), Tokens((-1,)), Tokens((2**70,)), Control("<|no|>")):
        with pytest.raises(InvalidValue):
            await engine.tokenize((unknown,))
    assert len(await run(engine, max_tokens=1)) == 1
