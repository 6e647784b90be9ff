from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.run.pooling import Pooler, Pooling

ROWS = np.random.default_rng(1).normal(size=(12, 5)).astype(np.float32)


def pooled(pooling: Pooling, cuts: list[int]) -> npt.NDArray[np.float32]:
    pooler = Pooler(pooling)
    for part in np.split(ROWS, sorted(set(cuts))):
        pooler.add(part)
    return np.frombuffer(pooler.embedding(), "<f4")


@given(st.lists(st.integers(1, 11)))
def test_any_split_of_a_text_gives_the_same(cuts: list[int]) -> None:
    expected = {Pooling.MEAN: ROWS.mean(axis=0), Pooling.CLS: ROWS[0], Pooling.LAST: ROWS[-1]}
    for pooling, row in expected.items():
        found = pooled(pooling, cuts)
        assert found == pytest.approx(row / np.linalg.norm(row), abs=1e-6)
        assert np.linalg.norm(found) == pytest.approx(1)


def test_what_a_gguf_says() -> None:
    found = [Pooling.from_gguf(value) for value in ("", "0", "1", "2", "3", "4")]
    assert found == [Pooling.MEAN] * 3 + [Pooling.CLS, Pooling.LAST, None]


def test_nothing_stays_nothing() -> None:
    pooler = Pooler(Pooling.LAST)
    pooler.add(np.zeros((1, 3), np.float32))
    assert pooler.embedding() == bytes(12)
