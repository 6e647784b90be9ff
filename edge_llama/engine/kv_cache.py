"""KVCache: sequence ids and cells of llama.cpp's unified KV cache."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np


class Memory(Protocol):
    """What the cache needs of `binding.Context`."""

    def remove(self, seq_id: int, start: int = 0, end: int = -1) -> None: ...

    def copy(self, source: int, target: int, start: int, end: int) -> None: ...


class KVCache:
    """Keeps the books of a unified KV cache: who holds which cells.

    llama.cpp owns the real cells and does not tell how many are free, so this mirrors them:

        sequence 0   a b c d          references   a b c d e f
        sequence 1   a b e f                       2 2 1 1 1 1

    A cell is shared by `copy` and free when its last holder lets go. The numbers are ours, not
    llama.cpp's cell indices; only their count has to agree.

    Args:
        memory: llama.cpp's memory, or a fake.
        n_cells: cells of the cache.
        n_seq_max: most sequence ids.
    """

    def __init__(self, memory: Memory, n_cells: int, n_seq_max: int) -> None:
        self._memory = memory
        self.n_cells = n_cells
        self.n_seq_max = n_seq_max
        self._references = np.zeros(n_cells, np.int32)
        self._free_cells = list(range(n_cells))
        self._free_ids = list(reversed(range(n_seq_max)))
        self._cells: dict[int, list[int]] = {}

    @property
    def n_free(self) -> int:
        """Free cells."""
        return len(self._free_cells)

    def allocate(self) -> int:
        """A sequence id that holds nothing yet; there must be one left."""
        seq_id = self._free_ids.pop()
        self._cells[seq_id] = []
        return seq_id

    def free(self, seq_id: int) -> None:
        """Give a sequence id and its cells back."""
        self.trim(seq_id, 0)
        del self._cells[seq_id]
        self._free_ids.append(seq_id)

    def length(self, seq_id: int) -> int:
        """Positions that a sequence holds."""
        return len(self._cells[seq_id])

    def extend(self, seq_id: int, n: int) -> None:
        """Account for `n` positions that the next decode fills. Needs `n_free >= n`."""
        cut = len(self._free_cells) - n
        assert cut >= 0, "extend() beyond the free cells"
        cells = self._free_cells[cut:]
        del self._free_cells[cut:]
        self._references[cells] = 1
        self._cells[seq_id].extend(cells)

    def trim(self, seq_id: int, length: int) -> None:
        """Forget all positions from `length` on."""
        cells = self._cells[seq_id]
        dropped = cells[length:]
        if not dropped:
            return
        del cells[length:]
        self._memory.remove(seq_id, length)
        self._references[dropped] -= 1
        self._free_cells.extend(cell for cell in dropped if not self._references[cell])

    def copy(self, source: int, target: int, length: int) -> None:
        """Let the empty sequence `target` share the first `length` positions of `source`."""
        if not length:
            return
        cells = self._cells[source][:length]
        self._memory.copy(source, target, 0, length)
        self._references[cells] += 1
        self._cells[target] = cells

    def n_free_keeping(self, seq_ids: Iterable[int], source: int = -1, length: int = 0) -> int:
        """Cells that would be free if only these sequences were kept, and of `source` a prefix."""
        held = np.zeros(self.n_cells, bool)
        for seq_id in seq_ids:
            held[self._cells[seq_id]] = True
        if length:
            held[self._cells[source][:length]] = True
        return self.n_cells - int(held.sum())

    def check_integrity(self) -> None:
        """Raises AssertionError when the books do not balance."""
        counted = np.zeros(self.n_cells, np.int32)
        for cells in self._cells.values():
            assert len(set(cells)) == len(cells), "a sequence holds a cell twice"
            counted[cells] += 1
        assert (counted == self._references).all(), "references differ from holders"
        free = set(self._free_cells)
        assert len(free) == len(self._free_cells), "a cell is free twice"
        assert free == set(np.flatnonzero(counted == 0).tolist()), "free cells differ"
        ids = sorted([*self._free_ids, *self._cells])
        assert ids == list(range(self.n_seq_max)), "sequence ids lost or doubled"
