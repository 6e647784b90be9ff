"""PrefixCache: KV of finished sequences, kept for prompts that begin alike."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TokenArray = npt.NDArray[np.int32]


def common_prefix(a: TokenArray, b: TokenArray) -> int:
    """Length of the longest common prefix of two token arrays."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    first = int(differs.argmax()) if n else 0
    return first if n and differs[first] else n


@dataclass(frozen=True, slots=True)
class Match:
    """A prompt's longest cached prefix, until the cache is changed.

    Attributes:
        length: its tokens.
        seq_id: a sequence whose first tokens they are.
    """

    length: int
    seq_id: int


class PrefixCache(ABC):
    """What of the KV cache is kept for later prompts, whatever its layout.

    Sequence ids pass to and fro: `start` gives one to a sequence that begins to run, and `insert`
    takes it back with what was computed.
    """

    @property
    @abstractmethod
    def n_idle(self) -> int:
        """Tokens that are kept for later prompts and used by no running sequence."""

    @abstractmethod
    def match(self, prompt: TokenArray, domain: str = "") -> Match | None:
        """The longest cached prefix of a prompt."""

    @abstractmethod
    def start(self, prompt: TokenArray, domain: str, source: int, length: int) -> int:
        """Give out a sequence id for a prompt, which holds what of it is computed.

        Args:
            source: a sequence, cached or running, whose first `length` tokens the prompt begins
                with.
            length: 0 if there is none.
        """

    @abstractmethod
    def insert(self, tokens: TokenArray, seq_id: int, domain: str = "") -> None:
        """Take over a sequence id, whose KV holds exactly `tokens`."""

    @abstractmethod
    def evict(self, n: int) -> bool:
        """Drop up to `n` tokens, or a few more, of what was used longest ago.

        Returns:
            False if nothing is left but what running sequences use.
        """

    @abstractmethod
    def shrink(self, n: int) -> None:
        """Drop what was used longest ago until at most `n` idle tokens are left, if that makes
        steps faster.
        """

    def clear(self) -> bool:
        """Evict all that can be; False if that was nothing."""
        evicted = self.evict(sys.maxsize)
        while self.evict(sys.maxsize):
            pass
        return evicted

    @abstractmethod
    def check_integrity(self) -> None:
        """Raises AssertionError when the cache is broken, or differs from the KV cache."""
