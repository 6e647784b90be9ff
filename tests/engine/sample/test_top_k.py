from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from edge_llama.engine.sample.top_k import top_k


@pytest.mark.parametrize("k", [1, 2, 40, 1000, 5000, 128256])
def test_the_largest_of_a_vocabulary(k: int) -> None:
    values = np.random.default_rng(1).normal(size=128256).astype(np.float32)
    assert np.array_equal(np.sort(top_k(values, k)), np.sort(np.argsort(values)[-k:]))


@given(st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 2.0]), min_size=1, max_size=400), st.data())
def test_ties_do_not_make_it_more_or_fewer(numbers: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(numbers)))
    values = np.array(numbers, np.float32)
    found = top_k(values, k)
    assert len(set(found.tolist())) == k
    assert sorted(values[found]) == sorted(numbers)[-k:]
