from __future__ import annotations

import pytest

from edge_llama.bench.scenarios import (
    SCENARIOS,
    Metric,
    Scenario,
    Stream,
    engine_settings,
    ordinary_ids,
    prompt_ids,
)


@pytest.mark.parametrize(
    ("metric", "rate"),
    [
        (Metric.DECODE, 10 / 2 + 20 / 5),
        (Metric.PREFILL, 90 / 1 + 100 / 2),
        (Metric.THROUGHPUT, (11 + 21) / 7),
    ],
)
def test_rates(metric: Metric, rate: float) -> None:
    streams = [Stream(100, 10, 11, 1.0, 3.0), Stream(100, 0, 21, 2.0, 7.0)]
    assert metric.rate(streams) == pytest.approx(rate)


def test_prompts_are_unique_to_client_and_seed_and_avoid_control_tokens() -> None:
    load = Scenario("", Metric.PREFILL, 3, 50, 1)
    ordinary = ordinary_ids(300, control=[5, 299])
    assert len(ordinary) == 298
    prompts = prompt_ids(load, 1, ordinary) + prompt_ids(load, 2, ordinary)
    assert len(set(prompts)) == 6
    assert {len(prompt) for prompt in prompts} == {50}
    assert {token for prompt in prompts for token in prompt} <= set(ordinary)
    assert prompt_ids(load, 1, ordinary) == prompts[:3]


def test_the_context_holds_the_largest_load() -> None:
    settings = engine_settings("m.gguf", list(SCENARIOS.values()), threads=3)
    assert settings.ctx_size is not None
    assert settings.ctx_size >= 4 * (235 + 32)
    assert (settings.parallel, settings.threads) == (4, 3)


def test_a_single_small_load_gets_a_small_context() -> None:
    settings = engine_settings("m.gguf", [SCENARIOS["decode"]])
    assert (settings.ctx_size, settings.parallel) == (1024, 1)
