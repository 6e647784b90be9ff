from __future__ import annotations

import math

import msgspec
import pytest

from edge_llama.engine.protocol.sampling_params import MAX_SEED, SamplingParams
from edge_llama.errors import InvalidValue


def test_defaults_are_llama_3_1s_own() -> None:
    params = SamplingParams()
    assert (params.temperature, params.top_p, params.top_k) == (0.6, 0.9, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", math.nan),
        ("top_p", 1.5),
        ("top_k", -1),
        ("top_k", 1.5),
        ("seed", 1.5),
        ("seed", -1),
        ("seed", MAX_SEED + 1),
        ("min_p", -1.0),
        ("repetition_penalty", 0.0),
        ("frequency_penalty", 3.0),
        ("presence_penalty", -math.inf),
        ("min_tokens", -1),
        ("logit_bias", {1: 101.0}),
        ("logit_bias", {1: math.nan}),
        ("logit_bias", {-1: 1.0}),
    ],
)
def test_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidValue) as error:
        SamplingParams(**{field: value})  # type: ignore[arg-type]
    assert error.value.param == field


def test_checks_hold_across_the_pipe() -> None:
    good = msgspec.msgpack.encode({"temperature": 1.0})
    assert msgspec.msgpack.decode(good, type=SamplingParams).temperature == 1.0
    bad = msgspec.msgpack.encode({"temperature": 9.0})
    with pytest.raises((InvalidValue, msgspec.ValidationError)):
        msgspec.msgpack.decode(bad, type=SamplingParams)


def test_choices_differ_by_seed_only() -> None:
    params = SamplingParams(seed=MAX_SEED, top_k=7)
    assert params.for_choice(0) is params
    assert params.for_choice(1) == SamplingParams(seed=0, top_k=7)
    assert SamplingParams().for_choice(3).seed is None


def test_a_temperature_that_would_overflow_is_greedy() -> None:
    assert SamplingParams(temperature=1e-38).greedy
    assert SamplingParams(temperature=0).greedy
    assert not SamplingParams(temperature=0.01).greedy
