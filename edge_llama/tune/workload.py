"""Workload: which steps a candidate is measured with."""

from __future__ import annotations

from dataclasses import dataclass

DEPTHS = (0, 1024, 3000)
"""Tokens of context at which steps are measured."""

SEQUENCES = 4
SEQUENCE_DEPTH = 768
"""Requests at the same time, and the tokens of context that each has."""

BESIDE = 32
"""Tokens of a prompt that are read in a step of which the other requests wait for a token."""

BATCH_SIZE = 512
PROMPTS = (512, 256, 128, 64)
"""Tokens of a prompt that is read in one step: the most that `prefill_seconds` allow."""

SIZES = (2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384)
"""Tokens of the steps that the cost table is filled with."""

ROOM = 128
"""Tokens of context beyond the measured ones, for those that are generated meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What to measure.

    Attributes:
        decode: depths at which one request generates.
        prefill: depths at which a prompt is read.
        sequences: requests that generate together, and next to which the last of them reads its
            prompt; 0 leaves both out.
        prefill_seconds: most seconds of a step that reads a prompt; slow machines read shorter
            ones.
        sizes: tokens of further steps, at all depths, for the cost table.
        longest_step: seconds; steps that take longer, and longer than a few generated tokens, are
            left out of the cost table: no running stream is made to wait so long.
    """

    decode: tuple[int, ...] = ()
    prefill: tuple[int, ...] = ()
    sequences: int = 0
    prefill_seconds: float = 1.5
    sizes: tuple[int, ...] = ()
    longest_step: float = 1.0

    @property
    def cells(self) -> int:
        """Tokens of context that it needs."""
        longest = max((0, *self.decode, *self.prefill)) + BATCH_SIZE
        return max(longest, self.sequences * SEQUENCE_DEPTH) + ROOM


def longest_prompt(rate: float, seconds: float) -> int:
    """Tokens of the longest prompt that is read within `seconds`, at `rate` tokens a second."""
    return next((size for size in PROMPTS if size <= rate * seconds), min(PROMPTS))


def whole_workload(context_length: int, *, together: bool) -> Workload:
    """All that a score depends on, for a model with so many tokens of context.

    Args:
        together: several requests at the same time are a part of it.
    """
    depths = tuple(depth for depth in DEPTHS if depth + BATCH_SIZE <= context_length) or (0,)
    sequences = SEQUENCES if together and context_length >= SEQUENCES * SEQUENCE_DEPTH else 0
    return Workload(decode=depths, prefill=(depths[0], *depths[1:][-1:]), sequences=sequences)
