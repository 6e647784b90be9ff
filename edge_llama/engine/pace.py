"""Pace: how large a step may be, so that running streams keep theirs."""

from __future__ import annotations

from edge_llama.engine.cost_table import CostTable, sizes_up_to

STALL_FACTOR = 4.0
SHORTEST_STALL = 0.5
"""The default limit of a step, in seconds and in steps that only decode, whichever is longer."""

SHARE = 0.8
"""The part of the limit that a step should fill; the rest is for what varies."""

WORTH = 0.7
"""What a size must reach of the prompt tokens a second of the best size within the whole limit: one
that reads much less makes a newcomer wait much longer for a little safety.
"""

STRETCH, GAIN = 1.5, 2.0
"""The default limit stretches by so much if prompts are read at least so many times as fast then:
llama.cpp's kernels compute 16 tokens in the time of 8 or, where memory is fast, of 6.
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
            `STALL_FACTOR` steps that only decode, and `STRETCH` times that where it pays.
    """

    def __init__(self, costs: CostTable, batch_size: int, max_stall: float | None = None) -> None:
        self.costs = costs
        self._sizes = sizes_up_to(batch_size)
        self._batch_size = batch_size
        self._max_stall = max_stall

    def step_size(self, decoding: int, depth: int) -> int:
        """Most tokens of the next step.

        Args:
            decoding: sequences of it that decode; without any, the step is as large as can be.
            depth: tokens in the KV cache.
        """
        if not decoding:
            return self._batch_size
        limit = self._limit(decoding, depth)
        curve = self.costs.curve(self._sizes, depth)
        if not curve:
            return min(self._batch_size, decoding + FIRST_STEP)

        def fastest(seconds: float) -> tuple[float, int]:
            """Prompt tokens a second and size of the best step that takes at most so long."""
            rates = (
                ((size - decoding) / taken, size)
                for size, taken in curve.items()
                if size > decoding and taken <= seconds
            )
            return max(rates, default=(0.0, decoding + SMALLEST_STEP))

        chosen, filling = fastest(limit * SHARE), fastest(limit)
        if chosen[0] < WORTH * filling[0]:
            chosen = filling
        if self._max_stall is None and (longer := fastest(limit * STRETCH))[0] >= GAIN * chosen[0]:
            chosen = longer
        return min(self._batch_size, chosen[1])

    def token_seconds(self, depth: int) -> float | None:
        """What a token of a prompt takes in the largest step; None if nothing was measured."""
        seconds = self.costs.seconds(self._batch_size, depth)
        return None if seconds is None else seconds / self._batch_size

    def _limit(self, decoding: int, depth: int) -> float:
        limit = self._max_stall
        if limit is None:
            solo = self.costs.seconds(decoding, depth) or 0.0
            limit = max(SHORTEST_STALL, STALL_FACTOR * solo)
        return limit
