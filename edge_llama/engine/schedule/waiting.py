"""WaitingQueue: sequences that wait to run."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import chain, zip_longest

from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.engine.sequence import Sequence


class WaitingQueue:
    """Callers take turns, each caller's own first come, first served; `flex` after all others."""

    def __init__(self) -> None:
        self._others = _Turns()
        self._flex = _Turns()

    def __len__(self) -> int:
        return len(self._others) + len(self._flex)

    def __iter__(self) -> Iterator[Sequence]:
        return chain(self._others, self._flex)

    def heads(self) -> list[Sequence]:
        """The first of each caller, in their order."""
        return self._others.heads() + self._flex.heads()

    def add(self, sequence: Sequence) -> None:
        self._tier_of(sequence).add(sequence)

    def put_back(self, sequence: Sequence) -> None:
        """To the head of its tier."""
        self._tier_of(sequence).put_back(sequence)

    def remove(self, sequence: Sequence) -> None:
        self._tier_of(sequence).remove(sequence)

    def _tier_of(self, sequence: Sequence) -> _Turns:
        return self._flex if sequence.tier is ServiceTier.FLEX else self._others


class _Turns:
    """A queue for each caller; the first caller's turn is next."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Sequence]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Iterator[Sequence]:
        rounds = zip_longest(*self._queues.values())
        return (sequence for turns in rounds for sequence in turns if sequence is not None)

    def heads(self) -> list[Sequence]:
        return [queue[0] for queue in self._queues.values()]

    def add(self, sequence: Sequence) -> None:
        self._queues.setdefault(sequence.caller, deque()).append(sequence)

    def put_back(self, sequence: Sequence) -> None:
        self._queues.setdefault(sequence.caller, deque()).appendleft(sequence)
        self._queues.move_to_end(sequence.caller, last=False)

    def remove(self, sequence: Sequence) -> None:
        """The caller has had a turn."""
        queue = self._queues[sequence.caller]
        queue.remove(sequence)
        if queue:
            self._queues.move_to_end(sequence.caller)
        else:
            del self._queues[sequence.caller]
