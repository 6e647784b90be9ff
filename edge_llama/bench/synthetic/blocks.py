"""Random weights, made directly in ggml's quantized blocks.

Any bytes are valid quants as long as the block's fp16 scale is sane, so a block is random bytes
with one or two scales written over them. The layouts are those of ggml-common.h.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

CHUNK_BYTES = 1 << 24

Floats: TypeAlias = npt.NDArray[np.float16] | npt.NDArray[np.float32]


class WeightFormat(enum.IntEnum):
    """How numbers are stored; the values are ggml's type ids."""

    F32 = 0
    F16 = 1
    Q8_0 = 8
    Q4_K = 12
    Q6_K = 14

    @property
    def block_weights(self) -> int:
        """Numbers in a block."""
        return _BLOCKS[self][0]

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return _BLOCKS[self][1]

    def size(self, n_weights: int) -> int:
        """Bytes of `n_weights` numbers, which must be whole blocks."""
        n_blocks, rest = divmod(n_weights, self.block_weights)
        if rest:
            raise ValueError(f"{n_weights} numbers are not whole blocks of {self.name}")
        return n_blocks * self.block_bytes


_BLOCKS = {
    WeightFormat.F32: (1, 4),
    WeightFormat.F16: (1, 2),
    WeightFormat.Q8_0: (32, 34),
    WeightFormat.Q4_K: (256, 144),
    WeightFormat.Q6_K: (256, 210),
}

_DEVIATION = {WeightFormat.Q8_0: 73.9, WeightFormat.Q4_K: 258.3, WeightFormat.Q6_K: 1366.0}
"""Standard deviation of a weight whose block is random bytes with a scale of 1."""

_SCALES: dict[WeightFormat, dict[int, float]] = {
    WeightFormat.Q8_0: {0: 1.0},
    WeightFormat.Q4_K: {0: 1.0, 1: 7.5},
    WeightFormat.Q6_K: {104: 1.0},
}
"""Where a block's fp16 scales stand (in units of fp16), as multiples of its main scale.

Q4_K's second scale is of the minimum that is subtracted: 7.5, the mean of a 4-bit quant, centres
the weights around zero.
"""


class RandomWeights:
    """A stream of random weights, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.SFC64(seed)
        self._normal = np.random.Generator(self._bits)

    def chunks(self, kind: WeightFormat, n_weights: int, deviation: float) -> Iterator[Floats]:
        """`n_weights` numbers around zero with that standard deviation, some MB at a time."""
        n_blocks = kind.size(n_weights) // kind.block_bytes
        step = CHUNK_BYTES // kind.block_bytes
        for start in range(0, n_blocks, step):
            count = min(step, n_blocks - start)
            if kind in _SCALES:
                yield self._blocks(kind, count, deviation)
            else:
                yield self._floats(kind, count, deviation)

    def _blocks(
        self, kind: WeightFormat, n_blocks: int, deviation: float
    ) -> npt.NDArray[np.float16]:
        n_bytes = n_blocks * kind.block_bytes
        words = self._bits.random_raw(-(-n_bytes // 8))
        shape = (n_blocks, kind.block_bytes // 2)
        halves: npt.NDArray[np.float16] = np.ndarray(shape, np.float16, buffer=words)
        for column, factor in _SCALES[kind].items():
            halves[:, column] = factor * deviation / _DEVIATION[kind]
        return halves

    def _floats(self, kind: WeightFormat, count: int, deviation: float) -> Floats:
        values = self._normal.standard_normal(count, dtype=np.float32)
        values *= np.float32(deviation)
        return values if kind is WeightFormat.F32 else values.astype(np.float16)
