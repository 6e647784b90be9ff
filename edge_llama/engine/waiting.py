"""WaitingQueue: sequences that wait to run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain

from edge_llama.engine.messages import ServiceTier
from edge_llama.engine.sequence import Sequence


class WaitingQueue:
    """First come, first served in each tier; all others come before `flex`."""

    def __init__(self) -> None:
        self._others: deque[Sequence] = deque()
        self._flex: deque[Sequence] = deque()

    def __bool__(self) -> bool:
        return bool(self._others or self._flex)

    def __iter__(self) -> Iterator[Sequence]:
        return chain(self._others, self._flex)

    def add(self, sequence: Sequence) -> None:
        self._tier_of(sequence).append(sequence)

    def put_back(self, sequence: Sequence) -> None:
        """To the head of its tier."""
        self._tier_of(sequence).appendleft(sequence)

    def remove(self, sequence: Sequence) -> None:
        self._tier_of(sequence).remove(sequence)

    def _tier_of(self, sequence: Sequence) -> deque[Sequence]:
        return self._flex if sequence.tier is ServiceTier.FLEX else self._others
