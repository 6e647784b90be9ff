from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.sample.penalties import Penalties

Tokens = st.lists(st.integers(0, 199), max_size=150)


@given(
    Tokens,
    Tokens,
    st.floats(0.1, 10),
    st.floats(-2, 2),
    st.floats(-2, 2),
)
def test_they_are_what_a_loop_over_tokens_gives(
    prompt: list[int], output: list[int], repetition: float, frequency: float, presence: float
) -> None:
    params = SamplingParams(
        repetition_penalty=repetition, frequency_penalty=frequency, presence_penalty=presence
    )
    penalties = Penalties(params, prompt)
    for token in output:
        penalties.accept(token)
    logits = np.linspace(-5, 5, 200, dtype=np.float32)
    expected = logits.astype(np.float64)
    for token in {*prompt, *output}:
        expected[token] *= repetition if expected[token] <= 0 else 1 / repetition
    for token, count in Counter(output).items():
        expected[token] -= count * frequency + presence
    penalties.apply(logits)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)


def test_what_is_excluded_stays_so() -> None:
    params = SamplingParams(repetition_penalty=2.0, presence_penalty=1.0)
    penalties = Penalties(params, [1])
    penalties.accept(1)
    logits = np.full(3, -np.inf, np.float32)
    penalties.apply(logits)
    assert (logits == -np.inf).all()
