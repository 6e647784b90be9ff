from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given

from edge_llama.engine.sample.truncated_softmax import TruncatedSoftmax

Array = npt.NDArray[np.float64]


def reference(logits: Array, temperature: float, top_k: int, top_p: float, min_p: float) -> Array:
    """The probabilities by sorting, one step after the other."""
    order = np.argsort(-logits, kind="stable")
    if top_k:
        order = order[:top_k]
    kept = np.exp((logits[order] - logits[order[0]]) / temperature)
    before = np.cumsum(kept) - kept
    kept = kept[: max(1, int(np.sum(before < top_p * kept.sum())))]
    kept = kept[kept >= min_p * kept[0]]
    probabilities = np.zeros(len(logits))
    probabilities[order[: len(kept)]] = kept / kept.sum()
    return probabilities


def softmax(n: int, **options: Any) -> TruncatedSoftmax:
    plain: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 1}
    return TruncatedSoftmax(n, **{**plain, **options})


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "min_p"),
    [
        (1.0, 0, 1.0, 0.0),
        (0.6, 0, 0.9, 0.0),
        (2.0, 0, 0.3, 0.0),
        (1.0, 5, 1.0, 0.0),
        (1.5, 300, 0.5, 0.0),
        (1.0, 0, 1.0, 0.2),
        (1.3, 40, 0.8, 0.1),
    ],
)
def test_tokens_come_as_often_as_they_should(
    temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    logits = np.random.default_rng(7).normal(0, 2, 700)
    draws = softmax(700, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    n = 6_000
    drawn = [draws.draw(logits.astype(np.float32)) for _ in range(n)]
    expected = reference(logits, temperature, top_k, top_p, min_p) * n
    found = np.bincount(drawn, minlength=700)
    assert not found[expected == 0].any()
    # Pearson's statistic has the mean and half the variance of its degrees of freedom.
    often = expected >= 5
    statistic = float(np.sum((found - expected)[often] ** 2 / expected[often]))
    degrees = int(often.sum())
    assert statistic < degrees + 5 * np.sqrt(2 * degrees)


@given(
    st.lists(st.sampled_from([-np.inf, -3.0, 0.0, 0.5, 4.0]), min_size=1, max_size=600),
    st.floats(0.01, 2),
    st.integers(0, 20),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 5),
)
def test_only_what_is_left_is_drawn(
    logits: list[float], temperature: float, top_k: int, top_p: float, min_p: float, seed: int
) -> None:
    values = np.array(logits)
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    drawn = softmax(len(logits), **options, seed=seed).draw(values.astype(np.float32))
    if values.max() == -np.inf:
        return
    # Of tokens that are as likely, any may be kept; and sums are not exact.
    kept = reference(values, temperature, top_k, min(1.0, top_p + 1e-5), min_p * (1 - 1e-5))
    assert logits[drawn] in values[kept > 0]


def test_the_same_seed_draws_the_same() -> None:
    logits = np.zeros(1000, np.float32)
    first, second = softmax(1000, seed=3), softmax(1000, seed=3)
    drawn = [first.draw(logits) for _ in range(20)]
    assert drawn == [second.draw(logits) for _ in range(20)]
    assert len(set(drawn)) > 15


@pytest.mark.parametrize("logit", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_drawn_from_without_end(logit: float) -> None:
    logits = np.full(300, logit, np.float32)
    for options in ({}, {"top_k": 5}, {"top_p": 0.5}):
        assert 0 <= softmax(300, **options).draw(logits) < 300
