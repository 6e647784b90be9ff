"""How fast weights are read from memory, which decides how fast tokens are generated."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

SIZE = 256 << 20
"""Bytes that are read: more than caches hold, less than the smallest machine has to spare."""
PASSES = 3

DECODE_SHARE = 0.8
"""Of the memory's bandwidth, what decode comes to, which reads all weights once a token.

It was measured at 0.93 on a machine with slow memory and at 0.65 on one where two cores do not keep
up with theirs.
"""


def read_bandwidth(threads: int) -> float:
    """Bytes of weights that this many threads are likely to read in a second while they decode.

    It is `DECODE_SHARE` of the memory's bandwidth, which is measured in a few tenths of a second.
    """
    import numpy as np

    parts = np.array_split(np.ones(SIZE // 8, np.int64), threads)
    fastest = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(PASSES):
            start = time.perf_counter()
            list(pool.map(np.sum, parts))
            fastest = min(fastest, time.perf_counter() - start)
    return DECODE_SHARE * SIZE / fastest
