"""PrefixCache: KV of finished sequences, kept for prompts that begin alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_llama.engine.kv_cache import KVCache

TokenArray = npt.NDArray[np.int32]


def common_prefix(a: TokenArray, b: TokenArray) -> int:
    """Length of the longest common prefix of two token arrays."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    return int(np.argmax(differs)) if differs.any() else n


@dataclass(frozen=True, slots=True)
class Match:
    """The best cached prefix of a prompt: the first `length` tokens of sequence `seq_id`."""

    seq_id: int
    length: int
    whole: bool
    """The cached sequence ends there, so that it can be taken over and continued in place."""


class PrefixCache:
    """Finished sequences by sequence id, least recently used first.

    Args:
        kv: the cache that holds their cells.
        capacity: most sequences kept.
    """

    def __init__(self, kv: KVCache, capacity: int) -> None:
        self._kv = kv
        self._capacity = capacity
        self._entries: OrderedDict[int, TokenArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def insert(self, tokens: Sequence[int], seq_id: int) -> None:
        """Take over a sequence whose KV holds exactly `tokens`."""
        if not tokens:
            self._kv.free(seq_id)
            return
        self._entries[seq_id] = np.asarray(tokens, np.int32)
        while len(self._entries) > self._capacity:
            self.evict()

    def match(self, prompt: TokenArray) -> Match | None:
        """The longest cached prefix of a prompt."""
        best: Match | None = None
        for seq_id, tokens in self._entries.items():
            length = common_prefix(tokens, prompt)
            if length > (best.length if best else 0):
                best = Match(seq_id, length, whole=length == len(tokens))
        return best

    def touch(self, seq_id: int) -> None:
        """Mark as most recently used."""
        self._entries.move_to_end(seq_id)

    def take(self, seq_id: int) -> None:
        """Hand a sequence over to the caller, who continues it in place."""
        del self._entries[seq_id]

    def evict(self, keep: int | None = None) -> bool:
        """Free the least recently used sequence other than `keep`; False if there is none."""
        for seq_id in self._entries:
            if seq_id != keep:
                del self._entries[seq_id]
                self._kv.free(seq_id)
                return True
        return False

    def clear(self) -> bool:
        """Free all sequences; False if there was none."""
        evicted = self.evict()
        while self.evict():
            pass
        return evicted

    def check_integrity(self) -> None:
        """Raises AssertionError when entries and KV cache disagree."""
        assert len(self._entries) <= self._capacity, "more entries than capacity"
        for seq_id, tokens in self._entries.items():
            assert self._kv.length(seq_id) == len(tokens) > 0, "entry differs from its KV"
