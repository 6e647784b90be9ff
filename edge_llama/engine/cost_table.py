"""CostTable: how long a step takes, by its size and the depth of the context."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from statistics import median

from edge_llama.config import StepCost

SIZES = (
    *range(1, 9), 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512,
    768, 1024, 1536, 2048, 3072, 4096, 6144, 8192,
)  # fmt: skip
"""Tokens of the steps that are told apart: what a step costs is a staircase over them."""

SAMPLES = 5
FRESH = 60.0
"""Seconds after which a sample counts only where there is no newer one: machines get busy."""

PENALTY = 1.5
"""What a token may cost more in a smaller step than in a larger one that was measured."""

_SHALLOW = 512


def sizes_up_to(most: int) -> tuple[int, ...]:
    """The sizes of `SIZES` that are at most `most`, and `most` itself."""
    return tuple(sorted({*(size for size in SIZES if size <= most), most}))


class CostTable:
    """Measured step times.

    A time is looked up where it was measured: at this size, at the nearest depth. Between measured
    sizes it is bounded, not interpolated, for the staircase goes down in places:

        t(n) ≤ t(smaller) · n / smaller       a larger step costs no more per token
        t(n) ≤ PENALTY · t(larger) · n / larger, and not less than t(smaller)

    What was measured in an earlier run stands in for sizes that were not measured in this one,
    slower or faster by as much as the others are now.

    Args:
        earlier: from an earlier run.
        clock: seconds.
    """

    def __init__(
        self, earlier: Iterable[StepCost] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._samples: dict[int, dict[int, deque[tuple[float, float]]]] = {}
        self._earlier: dict[int, dict[int, float]] = {}
        for size, depth, seconds in earlier:
            self._earlier.setdefault(size, {})[_level(depth)] = seconds

    def record(self, size: int, depth: int, seconds: float) -> None:
        """Add a measurement.

        Args:
            size: tokens of the step.
            depth: tokens in the KV cache after it.
            seconds: what it took.
        """
        by_depth = self._samples.setdefault(size, {})
        samples = by_depth.setdefault(_level(depth), deque(maxlen=SAMPLES))
        samples.append((self._clock(), seconds))

    def seconds(self, size: int, depth: int) -> float | None:
        """What a step of `size` tokens takes, or an upper bound; None if nothing was measured."""
        known = self._known(depth)
        if size in known or not known:
            return known.get(size)
        sizes = sorted(known)
        place = bisect_left(sizes, size)
        bounds = []
        least = 0.0
        if place > 0:
            smaller = sizes[place - 1]
            least = known[smaller]
            bounds.append(least * size / smaller)
        if place < len(sizes):
            larger = sizes[place]
            bounds.append(max(least, PENALTY * known[larger] * size / larger))
        return min(bounds)

    def _known(self, depth: int) -> dict[int, float]:
        """Seconds by size: measured lately if any was, at the depth that is nearest."""
        since = self._clock() - FRESH
        level = _level(depth)
        known = self._measured(level, since) or self._measured(level, float("-inf"))
        return self._expected(level, known) | known

    def _expected(self, level: int, known: dict[int, float]) -> dict[int, float]:
        """What was measured earlier, at the pace of what is known by now."""
        earlier = {
            size: by_depth[min(by_depth, key=lambda each: abs(each - level))]
            for size, by_depth in self._earlier.items()
        }
        paces = [known[size] / earlier[size] for size in known.keys() & earlier.keys()]
        pace = median(paces) if paces else 1.0
        return {size: seconds * pace for size, seconds in earlier.items()}

    def _measured(self, level: int, since: float) -> dict[int, float]:
        known = {}
        for size, by_depth in self._samples.items():
            fresh = [each for each in by_depth if by_depth[each][-1][0] >= since]
            if fresh:
                nearest = min(fresh, key=lambda each: abs(each - level))
                known[size] = _typical([seconds for _, seconds in by_depth[nearest]])
        return known


def _typical(samples: list[float]) -> float:
    """The median; of one or two the lower, since the first steps wait for weights from the disk."""
    return median(samples) if len(samples) > 2 else min(samples)


def _level(depth: int) -> int:
    """0 up to 512 tokens, then one more with each doubling."""
    return max(0, depth - 1).bit_length() - (_SHALLOW - 1).bit_length() if depth > _SHALLOW else 0
