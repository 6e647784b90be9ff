"""Pace: how large a step may be, so that running streams keep theirs."""

from __future__ import annotations

import math

from edge_llama.engine.schedule.cost_table import CostTable, sizes_up_to
from edge_llama.llama_cpp_facts import most_at_once

STALL_FACTOR = 4.0
SHORTEST_STALL = 0.5
"""The default limit of a step, in seconds and in tokens of a stream alone, whichever is longer."""

SHARE, MOST = 0.8, 0.92
"""Parts of the limit: what a step should fill, and the most; the rest is for what varies."""

WORTH = 0.7
"""What a size must reach of the prompt tokens a second of the best size within the most: one that
reads much less makes a newcomer wait much longer for a little safety.
"""

CRAWL = 0.5
"""The part of their full speed below which prompts crawl: beside the steps, on half of the threads,
they are read at about half of it, and streams go on at two thirds of theirs.
"""

FIRST_STEP = 16
"""Tokens of prompts in a step of which nothing is known."""

SMALLEST_STEP = 8
"""Tokens of prompts in a step that breaks the limit whatever its size: prompts go on."""


class Pace:
    """Chooses the size of steps in which some sequences decode while others read their prompts.

    Of the sizes whose measured time keeps well within the limit, the one that reads most prompt
    tokens a second, unless one that fills it reads far more.

    Args:
        costs: what steps took.
        batch_size: most tokens of a step.
        max_stall: seconds that a step may take; None is the longer of `SHORTEST_STALL` and
            `STALL_FACTOR` steps in which one stream decodes.
        keeps_scores: llama.cpp keeps attention scores, so steps become smaller with the depth.

    Attributes:
        halved: steps have half of the threads. What they take then is kept apart.
    """

    def __init__(
        self,
        costs: CostTable,
        batch_size: int,
        max_stall: float | None = None,
        *,
        keeps_scores: bool = False,
    ) -> None:
        self.costs = costs
        self.halved = False
        self._halved_costs = CostTable()
        self._sizes = sizes_up_to(batch_size)
        self._batch_size = batch_size
        self._max_stall = max_stall
        self._keeps_scores = keeps_scores

    def step_size(self, decoding: int, depth: int) -> int:
        """Most tokens of the next step.

        Args:
            decoding: sequences of it that decode; without any, the step is as large as can be.
            depth: tokens in the KV cache.
        """
        largest = self._batch_size
        if self._keeps_scores:
            largest = min(largest, most_at_once(depth))
        if not decoding:
            return largest
        curve = self._curve(depth)
        if not curve:
            return min(largest, decoding + FIRST_STEP)
        _, size = self._best(curve, decoding, depth)
        return min(largest, size)

    def crawls(self, decoding: int, depth: int) -> bool:
        """Whether prompts are read much slower in steps in which so many decode than in others.

        What was not measured yet may be as fast as larger steps, until it was.
        """
        curve = self.costs.curve(self._sizes, depth, penalty=1.0)
        if not curve:
            return False
        rate, _ = self._best(curve, decoding, depth)
        return rate < CRAWL * self._batch_size / curve[self._batch_size]

    def record(self, size: int, depth: int, seconds: float) -> None:
        """Remember what a step took; see `CostTable.record`."""
        (self._halved_costs if self.halved else self.costs).record(size, depth, seconds)

    def token_seconds(self, depth: int) -> float | None:
        """What a token of a prompt takes in the largest step; None if nothing was measured."""
        seconds = self.costs.seconds(self._batch_size, depth)
        return None if seconds is None else seconds / self._batch_size

    def _curve(self, depth: int) -> dict[int, float]:
        """Seconds of a step by its size: with half of the threads, twice as long at most."""
        curve = self.costs.curve(self._sizes, depth)
        if not self.halved:
            return curve
        halved = self._halved_costs.curve(self._sizes, depth)
        return {size: min(2 * taken, halved.get(size, math.inf)) for size, taken in curve.items()}

    def _best(self, curve: dict[int, float], decoding: int, depth: int) -> tuple[float, int]:
        """Prompt tokens a second and size of the best step in which so many decode."""
        limit = self._limit(depth)

        def fastest(seconds: float) -> tuple[float, int]:
            """Prompt tokens a second and size of the best step that takes at most so long."""
            rates = (
                ((size - decoding) / taken, size)
                for size, taken in curve.items()
                if size > decoding and taken <= seconds
            )
            return max(rates, default=(0.0, decoding + SMALLEST_STEP))

        chosen, filling = fastest(limit * SHARE), fastest(limit * MOST)
        if chosen[0] < WORTH * filling[0]:
            chosen = filling
        return chosen

    def _limit(self, depth: int) -> float:
        if self._max_stall is not None:
            return self._max_stall
        solo = self.costs.seconds(1, depth) or 0.0
        return max(SHORTEST_STALL, STALL_FACTOR * solo)
