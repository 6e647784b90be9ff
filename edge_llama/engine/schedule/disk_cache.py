"""DiskCache: the part of the prefix cache on disk, as the scheduler sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from edge_llama.engine.blocks.reading import LoadedBlock, Reading
from edge_llama.engine.blocks.store import BlockStore
from edge_llama.engine.blocks.unsaved import Unsaved, UnsavedBlocks
from edge_llama.engine.kv.kv_cache import KVCache
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.protocol.stats import DiskStats
from edge_llama.engine.schedule.pace import Pace

SMALLEST_READING = 16
"""Tokens of a prompt that are missing for the disk to be asked."""

PATIENCE = 0.005
"""Seconds to wait for the answer whether anything is on disk."""

SHARE = 0.1
"""The part of a step by which saving may make it longer."""


class DiskCache:
    """Moves blocks between the KV cache and a `BlockStore`, a little at a time.

    llama.cpp's context belongs to the step loop, so a block is copied out of it and into it
    there, between steps; the rest is done by the store's threads.

    Args:
        store: the files.
        kv: the KV cache.
        pace: tells what a token takes to compute.
        larger: the store holds at least as much as the KV cache does.
    """

    def __init__(self, store: BlockStore, kv: KVCache, pace: Pace, *, larger: bool = True) -> None:
        self._larger = larger
        self._store = store
        self._kv = kv
        self._pace = pace
        self._unsaved = UnsavedBlocks(kv.block_size)
        self._token_seconds = 0.0

    @property
    def n_unsaved(self) -> int:
        """Blocks that are still to be saved."""
        return len(self._unsaved)

    def stats(self) -> DiskStats:
        """What was done so far; may be called from any thread."""
        stats = self._store.stats
        return msgspec.structs.replace(stats, unsaved=self._n_unwritten, failed=self._store.off)

    @property
    def n_lacking(self) -> int | None:
        """Blocks of what was computed that cannot be read yet; None if the others cannot either, or
        not for long.
        """
        if self._store.off or self._store.hashing or not self._larger:
            return None
        return self._n_unwritten

    def read(self, prompt: TokenArray, domain: str, start: int, depth: int) -> Reading | None:
        """Begin to read what is on disk of a prompt after its first `start` tokens, which are in
        memory; None if that is nothing.
        """
        reading = None
        if len(prompt) - start >= SMALLEST_READING:
            reading = self._store.read(prompt, domain, start, self._pace.token_seconds(depth))
        if start:
            self._store.use(prompt[:start], domain)
        # Mostly that is told in less than a millisecond; otherwise its first step would be lost.
        if reading is None or reading.finds_nothing(PATIENCE):
            return None
        return reading

    def load(self, seq_id: int, block: LoadedBlock) -> int:
        """Put a block into the KV cache, after what a sequence holds.

        Returns:
            How many tokens it holds then: fewer than to the end of the block if there was no room.
        """
        before = self._kv.length(seq_id)
        length = self._kv.load(seq_id, block.state, block.n_tokens, block.end)
        if length == block.end:
            self._store.stats.hit_tokens += length - before
        else:
            self._store.stats.no_room += 1
        return length

    def give_up(self, reading: Reading, length: int) -> bool:
        """Whether computing has become the faster way, for who holds `length` tokens."""
        missing = len(reading.prompt) - length
        # A prefix that was shipped comes whole, as soon as the model is hashed.
        awaited = missing if self._store.hashing else min(missing, self._kv.block_size)
        if not reading.overdue(awaited):
            return False
        self._store.stats.slow += 1
        return True

    def offer(self, tokens: TokenArray, before: int, domain: str) -> None:
        """`tokens` are computed, all after the first `before` of them just now."""
        if not self._store.off:
            self._unsaved.add_full(tokens, before, domain)

    def offer_tail(self, tokens: TokenArray, domain: str) -> None:
        """`tokens` are computed, and no more of them are for now."""
        if not self._store.off:
            self._unsaved.add_tail(tokens, domain)

    def next_unsaved(self, step_seconds: float, *, idle: bool) -> Unsaved | None:
        """A block that may be saved now.

        Args:
            step_seconds: what the last step took, if sequences run.
            idle: none does.
        """
        if self._store.off:
            self._unsaved.clear()
        while self._can_save and (block := self._unsaved.peek()) is not None:
            n_tokens = len(block.tokens) - block.start
            if not idle and self._token_seconds * n_tokens > SHARE * step_seconds:
                return None
            self._unsaved.pop()
            if not self._store.has(block.tokens, block.domain):
                return block
        return None

    def endangered(self, tokens: TokenArray, domain: str) -> Iterator[Unsaved]:
        """The blocks of `tokens` that are to be saved now, whatever that takes, for they may be
        overwritten soon; computing them again would take longer.
        """
        while self._kv.settled and self._store.can_hold:
            block = self._unsaved.pop_of(tokens, domain)
            if block is None:
                break
            if not self._store.has(block.tokens, block.domain):
                yield block

    def save(self, block: Unsaved, seq_id: int) -> None:
        """Have a block written that a sequence holds."""
        began = time.perf_counter()
        into = self._store.spare_buffer()
        state = self._kv.save(seq_id, block.start, len(block.tokens), into)
        self._store.write(block.tokens, state, block.domain)
        n_tokens = len(block.tokens) - block.start
        self._token_seconds = (time.perf_counter() - began) / n_tokens

    @property
    def _n_unwritten(self) -> int:
        """Blocks that are computed and not on disk."""
        return len(self._unsaved) + self._store.n_writing

    @property
    def _can_save(self) -> bool:
        return self._kv.settled and self._store.can_write

    def close(self, timeout: float) -> None:
        """Wait until all that was saved is written, for so many seconds at most."""
        self._store.close(timeout)
