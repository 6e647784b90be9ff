"""CostTable: how long a step takes, by its size and the depth of the context."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median
from typing import TypeAlias

from edge_llama.settings.engine import StepCost

SIZES = (
    *range(1, 9), 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512,
    768, 1024, 1536, 2048, 3072, 4096, 6144, 8192,
)  # fmt: skip
"""Tokens of the steps that are told apart: what a step costs is a staircase over them."""

SAMPLES = 5
"""Measurements of a size and depth that are kept."""

LAST_STEPS = 3
"""Steps that tell how fast the machine is now."""

BAND = 1.2
"""How far these may be from what was thought before it changes: a context that grows makes steps
slower too, little by little, and that belongs to its depths.
"""

PENALTY = 1.5
"""What a token may cost more in a smaller step than in a larger one that was measured."""

SIMILAR = 4
"""Sizes to each side that may tell what a larger depth costs."""

_SHALLOW = 256

Samples: TypeAlias = tuple[float, ...]
"""The last few times of a size and depth."""


def sizes_up_to(most: int) -> tuple[int, ...]:
    """The sizes of `SIZES` that are at most `most`, and `most` itself."""
    return tuple(sorted({*(size for size in SIZES if size <= most), most}))


class CostTable:
    """Measured step times.

    A time is looked up where it was measured: at this size, between the depths around this one, or
    at the nearest. Deeper than it was measured, it grows as that of a similar size did. Between
    measured sizes it is bounded, not interpolated, for the staircase goes down in places:

        t(n) ≤ t(smaller) · n / smaller       a larger step costs no more per token
        t(n) ≤ penalty · t(larger) · n / larger, and not less than t(smaller)

    Machines get busy, hot and slow, and recover. So times are kept relative to the machine's
    slowness, a running median of what the last steps took over what they usually take, as soon as
    that differs by more than `BAND`; and one that was measured a while ago is still right:

        t(n) = slowness now · median of (seconds / slowness then)

    Args:
        earlier: from an earlier run.
    """

    def __init__(self, earlier: Iterable[StepCost] = ()) -> None:
        # By size and level of depth. Every size may come up, so this is small and read in places.
        self._samples: dict[int, dict[int, Samples]] = {}
        self._sizes: list[int] = []
        self._ratios: deque[float] = deque(maxlen=LAST_STEPS)
        self._slowness = 1.0
        for size, depth, seconds in earlier:
            self._add(size, depth, seconds)

    def record(self, size: int, depth: int, seconds: float) -> None:
        """Add a measurement.

        Args:
            size: tokens of the step.
            depth: tokens in the KV cache after it.
            seconds: what it took.
        """
        samples = self._samples.get(size, {}).get(_level(depth))
        if samples:
            self._ratios.append(seconds / median(samples))
            now = median(self._ratios)
            if not 1 / BAND <= now / self._slowness <= BAND:
                self._slowness = now
        self._add(size, depth, seconds / self._slowness)

    def seconds(self, size: int, depth: int) -> float | None:
        """What a step of `size` tokens takes, or an upper bound; None if nothing was measured."""
        return self.curve([size], depth).get(size)

    def curve(self, sizes: Iterable[int], depth: int, penalty: float = PENALTY) -> dict[int, float]:
        """What steps of these sizes take, as `seconds`; empty if nothing was measured.

        Args:
            penalty: what a token of a size that was not measured may cost more than of a larger.
        """
        if not self._sizes:
            return {}
        return {size: self._bounded(size, depth, penalty) for size in sizes}

    def _add(self, size: int, depth: int, seconds: float) -> None:
        if size not in self._samples:
            self._samples[size] = {}
            insort(self._sizes, size)
        by_level, level = self._samples[size], _level(depth)
        by_level[level] = (*by_level.get(level, ()), seconds)[-SAMPLES:]

    def _bounded(self, size: int, depth: int, penalty: float) -> float:
        """Seconds of a size, or an upper bound that those of others give."""
        if size in self._samples:
            return self._measured(size, depth)
        place = bisect_left(self._sizes, size)
        bounds = []
        least = 0.0
        if place > 0:
            smaller = self._sizes[place - 1]
            least = self._measured(smaller, depth)
            bounds.append(least * size / smaller)
        if place < len(self._sizes):
            larger = self._sizes[place]
            bounds.append(max(least, penalty * self._measured(larger, depth) * size / larger))
        return min(bounds)

    def _measured(self, size: int, depth: int) -> float:
        return self._slowness * _between(self._samples[size], depth) * self._growth(size, depth)

    def _growth(self, size: int, depth: int) -> float:
        """How much longer a size takes at this depth than at the deepest where it was measured."""
        deepest = max(self._samples[size])
        if _level(depth) <= deepest:
            return 1.0
        place = bisect_left(self._sizes, size)
        similar = self._sizes[max(0, place - SIMILAR) : place + 1 + SIMILAR]
        deeper = [each for each in similar if max(self._samples[each]) > deepest]
        if not deeper:
            return 1.0
        nearest = self._samples[min(deeper, key=lambda each: abs(math.log(each / size)))]
        return max(1.0, _between(nearest, depth) / _between(nearest, int(_depth(deepest))))


def _between(by_level: Mapping[int, Samples], depth: int) -> float:
    """A median, interpolated between the depths around this one, or of the nearest."""
    level = _level(depth)
    lower = max((each for each in by_level if each <= level), default=min(by_level))
    upper = min((each for each in by_level if each >= level), default=max(by_level))
    low, high = median(by_level[lower]), median(by_level[upper])
    if lower == upper:
        return low
    way = (depth - _depth(lower)) / (_depth(upper) - _depth(lower))
    return low + way * (high - low)


def _level(depth: int) -> int:
    """0 up to 256 tokens, then two more with each doubling."""
    return math.ceil(2 * math.log2(max(depth, _SHALLOW) / _SHALLOW))


def _depth(level: int) -> float:
    """The most tokens of a level."""
    return _SHALLOW * 2 ** (level / 2)
