from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.sample.logprobs import LOWEST, LogProbabilities

LOGITS = st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=20)


@given(LOGITS)
def test_they_are_the_logarithm_of_softmax(logits: list[float]) -> None:
    total = sum(math.exp(x) for x in logits)
    found = LogProbabilities(np.array(logits, np.float32))
    for token, logit in enumerate(logits):
        assert found.of(token) == pytest.approx(logit - math.log(total), abs=1e-4)


@given(LOGITS, st.integers(0, 25))
def test_the_best_come_first(logits: list[float], n: int) -> None:
    found = LogProbabilities(np.array(logits, np.float32))
    best = found.best(n)
    assert len(set(best)) == len(best) == min(n, len(logits))
    ranked = sorted(map(found.of, range(len(logits))), reverse=True)
    assert [found.of(token) for token in best] == ranked[: len(best)]


def test_what_is_masked_later_keeps_its_value() -> None:
    logits = np.zeros(4, np.float32)
    found = LogProbabilities(logits)
    logits[2] = -np.inf
    assert found.of(2) == pytest.approx(math.log(0.25))


def test_the_impossible_has_a_number_that_json_has() -> None:
    found = LogProbabilities(np.array([0, -np.inf], np.float32))
    assert [found.of(0), found.of(1)] == [0.0, LOWEST]
