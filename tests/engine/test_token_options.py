"""What a request asks of its single tokens, with the real engine."""

from __future__ import annotations

import pytest

from edge_llama.engine.client import AsyncEngine
from edge_llama.engine.messages import FinishReason, GenerationRequest, Output, TokenLogprob
from edge_llama.engine.prompt import Text
from edge_llama.engine.sampling import SamplingParams

PROMPT = (Text("a fine day to be out and about"),)


async def run(engine: AsyncEngine, **fields: object) -> list[Output]:
    request = GenerationRequest(prompt=PROMPT, **fields)  # type: ignore[arg-type]
    return [output async for output in await engine.submit(request)]


def entries(outputs: list[Output]) -> list[TokenLogprob]:
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
