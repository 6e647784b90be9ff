"""How fast a model is likely to generate on this machine, told from its size alone."""

from __future__ import annotations

from dataclasses import dataclass

FAST = 15.0
"""Tokens a second from which an answer comes faster than people read."""

STEADY = 5.0
"""Tokens a second from which one can read along."""

MIN_ESTIMATED = 256_000_000
"""Bytes of weights below which it is not memory that bounds the speed."""


@dataclass(frozen=True, slots=True)
class Speed:
    """An estimate of how fast one answer is generated.

    Attributes:
        tokens_per_second: how often the weights can be read in a second, in two digits.
    """

    tokens_per_second: float

    @property
    def speed_class(self) -> str:
        """`fast`, `steady` (from 5 tokens a second) or `slow`."""
        if self.tokens_per_second >= FAST:
            return "fast"
        return "steady" if self.tokens_per_second >= STEADY else "slow"

    def __str__(self) -> str:
        return f"{self.speed_class}, {self.tokens_per_second:.2g} tokens/s"


class Speedometer:
    """Knows how fast the memory is, which is measured once on a machine and kept."""

    def __init__(self) -> None:
        self._bandwidth: float | None = None

    def speed(self, weight_bytes: int) -> Speed | None:
        """The estimate; None where there is no sound one: on a GPU, or for a very small model."""
        if weight_bytes < MIN_ESTIMATED or _has_gpu():
            return None
        if self._bandwidth is None:
            self._bandwidth = _measure()
        return Speed(float(f"{self._bandwidth / weight_bytes:.2g}"))


def _has_gpu() -> bool:
    from edge_llama.machine.memory import read_memory

    return read_memory().gpu_limit is not None


def _measure() -> float:
    from edge_llama.planning.tuned.bandwidth import kept_bandwidth

    return kept_bandwidth()
