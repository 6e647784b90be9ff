"""The largest of many numbers, without sorting them all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LARGEST_BLOCK = 256
SMALLEST_BLOCK = 16


def top_k(values: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.intp]:
    """Indices of the `k` largest values, in no order.

    At least `k` values are as large as the k-th largest of the blocks' maxima: only those that are
    so large are looked at more closely.

    Args:
        values: shape (n,).
        k: 1 to n.
    """
    block = min(len(values) // (4 * k), LARGEST_BLOCK)
    if block < SMALLEST_BLOCK:
        return np.argpartition(values, -k)[-k:]
    maxima = np.maximum.reduceat(values, np.arange(0, len(values), block))
    large = np.flatnonzero(values >= np.partition(maxima, -k)[-k])
    return large[np.argpartition(values[large], -k)[-k:]]
