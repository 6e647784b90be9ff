"""Unsaved: blocks that are computed and not on disk yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge_llama.engine.blocks.name import last_start
from edge_llama.engine.kv.prefix_cache import TokenArray

MOST = 256
"""Blocks that are remembered; older ones are not saved any more."""

SMALLEST_TAIL = 4
"""Tokens after the last full block that are worth a file."""


@dataclass(frozen=True, slots=True, eq=False)
class Unsaved:
    """A block that was computed.

    Attributes:
        tokens: all from the first on, up to the end of the block.
        start: position of the block's first token.
        domain: the cache domain.
    """

    tokens: TokenArray
    start: int
    domain: str

    def begins(self, other: Unsaved) -> bool:
        """Whether the other one has all of this and more."""
        return (
            self.start == other.start
            and len(self.tokens) < len(other.tokens)
            and self.is_of(other.tokens, other.domain)
        )

    def is_of(self, tokens: TokenArray, domain: str) -> bool:
        """Whether `tokens` begin with all that this one holds."""
        length = len(self.tokens)
        return (
            self.domain == domain
            and length <= len(tokens)
            and bool((tokens[:length] == self.tokens).all())
        )


class UnsavedBlocks:
    """What is to be saved: first full blocks, as they are computed, then ends of sequences.

    The end of a sequence is often the middle of the next turn's prompt; a block that begins with it
    makes it superfluous.

    Args:
        block_size: tokens of a full block.
    """

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._full: deque[Unsaved] = deque(maxlen=MOST)
        self._tails: deque[Unsaved] = deque(maxlen=MOST)

    def __len__(self) -> int:
        return len(self._full) + len(self._tails)

    def add_full(self, tokens: TokenArray, before: int, domain: str) -> None:
        """The full blocks that end after the first `before` of `tokens`."""
        size = self._block_size
        for end in range((before // size + 1) * size, len(tokens) + 1, size):
            self._add(Unsaved(tokens[:end], end - size, domain), self._full)

    def add_tail(self, tokens: TokenArray, domain: str) -> None:
        """What is after the last full block of a sequence that ended."""
        start = last_start(len(tokens), self._block_size)
        if SMALLEST_TAIL <= len(tokens) - start < self._block_size:
            self._add(Unsaved(tokens, start, domain), self._tails)

    def peek(self) -> Unsaved | None:
        """The block to save next."""
        blocks = self._full or self._tails
        return blocks[0] if blocks else None

    def pop(self) -> None:
        """Take that block off."""
        (self._full or self._tails).popleft()

    def pop_of(self, tokens: TokenArray, domain: str) -> Unsaved | None:
        """Take off the first block of these tokens."""
        for blocks in (self._full, self._tails):
            for block in blocks:
                if block.is_of(tokens, domain):
                    blocks.remove(block)
                    return block
        return None

    def clear(self) -> None:
        self._full.clear()
        self._tails.clear()

    def _add(self, block: Unsaved, blocks: deque[Unsaved]) -> None:
        if any(block.begins(other) for other in self._tails):
            return
        for other in [other for other in self._tails if other.begins(block)]:
            self._tails.remove(other)
        blocks.append(block)
