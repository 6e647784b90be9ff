"""UnifiedKVCache: cells that all sequences share."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt

from edge_llama.engine.kv.kv_cache import ByteArray, KVCache, NativeMemory

BLOCK_SIZE = 256
"""Tokens whose state is saved as one. Conversations share it up to a multiple of this."""

IntArray = npt.NDArray[np.int32]


class UnifiedKVCache(KVCache):
    """The books of llama.cpp's unified KV cache: who holds which cells.

        sequence 0   a b c d          references   a b c d e f
        sequence 1   a b e f                       2 2 1 1 1 1

    A cell is shared by `copy`, which moves no data, and free when its last holder lets go. The
    numbers are ours, not llama.cpp's cell indices; only their count has to agree.

    Args:
        memory: llama.cpp's memory, or a fake.
        n_cells: cells of the cache.
        n_seq_max: most sequence ids. llama.cpp has one more, through which states come and go.
    """

    block_size = BLOCK_SIZE

    def __init__(self, memory: NativeMemory, n_cells: int, n_seq_max: int) -> None:
        super().__init__(memory, n_cells, n_seq_max)
        self._references = np.zeros(n_cells, np.int32)
        # The free cells are the first `n_free`.
        self._free_cells = np.arange(n_cells, dtype=np.int32)
        self._n_free = n_cells
        # A row for each sequence id; memory is used as far as rows are filled.
        self._cells = np.empty((n_seq_max, n_cells), np.int32)

    @property
    def n_free(self) -> int:
        return self._n_free

    def room(self, seq_id: int) -> int:
        return self._n_free

    def fits(self, n: int, seq_ids: Collection[int], source: int, length: int) -> bool:
        return n <= self._n_free or n <= self.n_cells - self.n_held(seq_ids, source, length)

    def depth(self, seq_ids: Collection[int]) -> int:
        """All cells in use: a token attends to those of others too, and masks them afterwards."""
        return self.n_cells - self._n_free

    def native_id(self, seq_id: int) -> int:
        return seq_id

    def gather(self, seq_ids: Collection[int]) -> bool:
        return True

    def extend(self, seq_id: int, n: int) -> None:
        assert n <= self._n_free, "extend() beyond the free cells"
        cells = self._free_cells[self._n_free - n : self._n_free]
        self._n_free -= n
        self._references[cells] = 1
        length = self._lengths[seq_id]
        self._cells[seq_id, length : length + n] = cells
        self._lengths[seq_id] = length + n

    def trim(self, seq_id: int, length: int) -> None:
        if length >= self._lengths[seq_id]:
            return
        self._memory.remove(seq_id, length)
        dropped = self._held(seq_id)[length:]
        self._lengths[seq_id] = length
        self._let_go(dropped)

    def copy(self, source: int, target: int, length: int) -> None:
        """Let `target` share the first `length` positions of `source`, and give up its own."""
        shared = self._held(source)[:length]
        own = self._held(target)[:length]
        differs = np.flatnonzero(own != shared[: len(own)])
        start = int(differs[0]) if len(differs) else len(own)
        if start == length:
            return
        if start < len(own):
            self._memory.remove(target, start, len(own))
            self._let_go(own[start:])
        self._memory.copy(source, target, start, length)
        self._references[shared[start:]] += 1
        self._cells[target, start:length] = shared[start:]
        self._lengths[target] = max(self._lengths[target], length)

    def save(self, seq_id: int, start: int, end: int, into: ByteArray | None = None) -> ByteArray:
        scratch = self.n_seq_max
        self._memory.copy(seq_id, scratch, start, end)
        state = self._memory.save_sequence(scratch, into)
        self._memory.remove(scratch)
        return state

    def lacking(self, seq_id: int, n: int) -> int:
        return max(0, n - self._n_free)

    def load(self, seq_id: int, state: ByteArray, n: int, end: int) -> int:
        scratch, length = self.n_seq_max, self._lengths[seq_id]
        if n > self._n_free or not self._memory.restore_sequence(scratch, state):
            return length
        if self._memory.length(scratch) >= end:
            self._memory.copy(scratch, seq_id, length, end)
            self.extend(seq_id, end - length)
        self._memory.remove(scratch)
        return self._lengths[seq_id]

    def n_held(self, seq_ids: Iterable[int], source: int = -1, length: int = 0) -> int:
        """Cells that these sequences hold together, with the first `length` of `source`."""
        held = np.zeros(self.n_cells, bool)
        for seq_id in seq_ids:
            held[self._held(seq_id)] = True
        if length:
            held[self._held(source)[:length]] = True
        return int(held.sum())

    def check_integrity(self) -> None:
        super().check_integrity()
        counted = np.zeros(self.n_cells, np.int32)
        for seq_id in self._lengths:
            cells = self._held(seq_id)
            assert len(np.unique(cells)) == len(cells), "a sequence holds a cell twice"
            counted[cells] += 1
        assert (counted == self._references).all(), "references differ from holders"
        free = np.sort(self._free_cells[: self._n_free])
        assert np.array_equal(free, np.flatnonzero(counted == 0)), "free cells differ"

    def _held(self, seq_id: int) -> IntArray:
        return self._cells[seq_id, : self._lengths[seq_id]]

    def _let_go(self, cells: IntArray) -> None:
        """Take one reference off each of these cells."""
        self._references[cells] -= 1
        free = cells[self._references[cells] == 0]
        self._free_cells[self._n_free : self._n_free + len(free)] = free
        self._n_free += len(free)
