"""Embedding: a text as a vector."""

from __future__ import annotations

import math
import sys
from array import array
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Embedding:
    """The embedding of one text.

    Attributes:
        data: little-endian float32, together of length 1.
        prompt_tokens: tokens of the text.
    """

    data: bytes
    prompt_tokens: int

    @property
    def dimensions(self) -> int:
        return len(self.data) // 4

    def values(self) -> list[float]:
        """Its numbers."""
        return _native(array("f", self.data)).tolist()

    def shortened(self, dimensions: int) -> Embedding:
        """Its first `dimensions` numbers, again of length 1."""
        if dimensions >= self.dimensions:
            return self
        values = self.values()[:dimensions]
        norm = math.sqrt(math.fsum(value * value for value in values)) or 1.0
        scaled = _native(array("f", [value / norm for value in values]))
        return Embedding(scaled.tobytes(), self.prompt_tokens)


def _native(values: array[float]) -> array[float]:
    """From or to little-endian bytes."""
    if sys.byteorder == "big":
        values.byteswap()
    return values
