"""StreamPrefixCache: prefixes that have a stream each, for the KV cache with streams."""

from __future__ import annotations

from dataclasses import dataclass

from edge_llama.engine.kv.prefix_cache import Match, PrefixCache, TokenArray, common_prefix
from edge_llama.engine.kv.stream_kv_cache import StreamKVCache

SHORTEST_COPY = 16
"""Tokens that are computed as fast as a stream is copied."""

SMALL_REST = 64
"""Tokens after a prefix that are not worth a stream of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What a stream holds that nobody runs on."""

    tokens: TokenArray
    domain: str


class StreamPrefixCache(PrefixCache):
    """Finished sequences stay in their streams until a newcomer needs one.

    A newcomer that goes on where a prefix ends takes its stream. One that branches off earlier
    gets a copy in a stream that is free, or in that of the prefix used longest ago.

    Nothing is locked, since nothing is shared.

    Args:
        kv: the KV cache that holds the streams.
        capacity: most prefixes.
    """

    def __init__(self, kv: StreamKVCache, capacity: int) -> None:
        self._kv = kv
        self._capacity = capacity
        # By sequence id; what was used longest ago is the first.
        self._prefixes: dict[int, Prefix] = {}

    def __len__(self) -> int:
        return len(self._prefixes)

    @property
    def n_idle(self) -> int:
        return sum(len(prefix.tokens) for prefix in self._prefixes.values())

    def match(self, prompt: TokenArray, domain: str = "") -> Match | None:
        matches = [
            Match(common_prefix(prefix.tokens, prompt), seq_id)
            for seq_id, prefix in self._prefixes.items()
            if prefix.domain == domain
        ]
        longest = max(matches, key=lambda match: match.length, default=None)
        return longest if longest and longest.length else None

    def start(self, prompt: TokenArray, domain: str, source: int, length: int) -> int:
        """Give out a stream: that of `source`, or one with a copy of it."""
        if self._is_takeable(source, length):
            del self._prefixes[source]
            self._kv.trim(source, length)
            return source
        if not self._kv.n_free_ids:
            self.evict(1)
        seq_id = self._kv.allocate()
        if length >= SHORTEST_COPY:
            self._kv.copy(source, seq_id, length)
        return seq_id

    def insert(self, tokens: TokenArray, seq_id: int, domain: str = "") -> None:
        self._prefixes[seq_id] = Prefix(tokens.copy(), domain)
        for other_id, other in list(self._prefixes.items()):
            if other_id == seq_id or other.domain != domain:
                continue
            shared = common_prefix(other.tokens, tokens)
            if shared == len(other.tokens):
                self._drop(other_id)
            elif shared == len(tokens):
                self._prefixes[other_id] = self._prefixes.pop(other_id)
                self._drop(seq_id)
                return
        if not len(tokens):
            self._drop(seq_id)
        while len(self._prefixes) > self._capacity:
            self.evict(1)

    def evict(self, n: int) -> bool:
        """Drop the prefix that was used longest ago, all of it: only a whole stream helps others.

        Returns:
            False if there is none.
        """
        if not self._prefixes:
            return False
        self._drop(self._oldest())
        return True

    def shrink(self, n: int) -> None:
        """Do nothing: a token attends to its own stream only."""

    def check_integrity(self) -> None:
        assert len(self._prefixes) <= self._capacity, "more prefixes than capacity"
        for seq_id, prefix in self._prefixes.items():
            assert len(prefix.tokens), "a prefix without tokens"
            assert self._kv.length(seq_id) == len(prefix.tokens), "a stream of another length"
            others = (
                other
                for other_id, other in self._prefixes.items()
                if other_id != seq_id and other.domain == prefix.domain
            )
            assert all(
                common_prefix(prefix.tokens, other.tokens) < len(prefix.tokens) for other in others
            ), "a prefix is held twice"

    def _is_takeable(self, source: int, length: int) -> bool:
        """Whether `source` is a prefix of which nothing would be kept after `length` tokens."""
        prefix = self._prefixes.get(source)
        if prefix is None:
            return False
        to_be_evicted = not self._kv.n_free_ids and source == self._oldest()
        return to_be_evicted or len(prefix.tokens) - length <= SMALL_REST

    def _oldest(self) -> int:
        return next(iter(self._prefixes))

    def _drop(self, seq_id: int) -> None:
        del self._prefixes[seq_id]
        self._kv.free(seq_id)
