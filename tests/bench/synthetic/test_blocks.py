"""Random weights: sizes as ggml's, values as asked for (checked with the `gguf` package)."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from edge_llama.bench.synthetic.blocks import CHUNK_BYTES, RandomWeights, WeightFormat

N = 256 * 4096


@pytest.mark.parametrize("kind", list(WeightFormat))
def test_a_type_is_the_one_that_ggml_knows(kind: WeightFormat) -> None:
    block = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind.name]]
    assert gguf.GGMLQuantizationType[kind.name].value == kind.value
    assert (kind.block_weights, kind.block_bytes) == block


@pytest.mark.parametrize("kind", list(WeightFormat))
@pytest.mark.parametrize("deviation", [0.3, 0.008])
def test_weights_have_the_deviation_asked_for_and_no_bias(
    kind: WeightFormat, deviation: float
) -> None:
    data = np.concatenate(
        [chunk.ravel().view(np.uint8) for chunk in RandomWeights(7).chunks(kind, N, deviation)]
    )
    assert data.size == kind.size(N)
    weights = gguf.quants.dequantize(
        data.reshape(-1, kind.block_bytes), gguf.GGMLQuantizationType[kind.name]
    )
    assert np.isfinite(weights).all()
    assert weights.std() == pytest.approx(deviation, rel=0.03)
    assert abs(weights.mean()) < 0.01 * deviation


def test_large_tensors_come_in_chunks() -> None:
    sizes = [chunk.nbytes for chunk in RandomWeights(1).chunks(WeightFormat.Q4_K, 256 * 300_000, 1)]
    assert sum(sizes) == 144 * 300_000
    assert len(sizes) > 1
    assert max(sizes) <= CHUNK_BYTES


def test_the_seed_decides() -> None:
    def first(seed: int) -> bytes:
        return next(RandomWeights(seed).chunks(WeightFormat.Q6_K, 256, 1)).tobytes()

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_half_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="whole blocks of Q4_K"):
        WeightFormat.Q4_K.size(128)
