"""KVCache: sequence ids and cells of llama.cpp's KV cache, whatever its layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Protocol

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]


class NativeMemory(Protocol):
    """What the cache needs of `binding.Context`."""

    def remove(self, seq_id: int, start: int = 0, end: int = -1) -> None: ...

    def copy(self, source: int, target: int, start: int, end: int) -> None: ...

    def length(self, seq_id: int) -> int: ...

    def save_sequence(self, seq_id: int, into: ByteArray | None = None) -> ByteArray: ...

    def restore_sequence(self, seq_id: int, state: ByteArray) -> bool: ...


class KVCache(ABC):
    """Keeps the books of a KV cache, since llama.cpp does not tell how many cells are free.

    Args:
        memory: llama.cpp's memory, or a fake.
        n_cells: cells of the cache.
        n_seq_max: most sequence ids.

    Attributes:
        settled: what is held can be saved, and something loaded: no copy waits for the next decode.
    """

    block_size: int
    """Most positions of a state that is saved and loaded."""

    def __init__(self, memory: NativeMemory, n_cells: int, n_seq_max: int) -> None:
        self.settled = True
        self.n_cells = n_cells
        self.n_seq_max = n_seq_max
        self._memory = memory
        self._free_ids = list(reversed(range(n_seq_max)))
        self._lengths: dict[int, int] = {}

    @property
    def n_free_ids(self) -> int:
        """How often `allocate` can be called."""
        return len(self._free_ids)

    def allocate(self) -> int:
        """A sequence id that holds nothing yet; there must be one left."""
        seq_id = self._free_ids.pop()
        self._lengths[seq_id] = 0
        return seq_id

    def free(self, seq_id: int) -> None:
        """Give a sequence id and its cells back."""
        self.trim(seq_id, 0)
        del self._lengths[seq_id]
        self._free_ids.append(seq_id)

    def length(self, seq_id: int) -> int:
        """Positions that a sequence holds."""
        return self._lengths[seq_id]

    @property
    @abstractmethod
    def n_free(self) -> int:
        """Free cells."""

    @abstractmethod
    def room(self, seq_id: int) -> int:
        """Most positions by which a sequence can be extended now."""

    @abstractmethod
    def fits(self, n: int, seq_ids: Collection[int], source: int, length: int) -> bool:
        """Whether there is room for `n` more positions, if need be without all but these.

        Args:
            n: of all sequences together.
            seq_ids: what they hold stays.
            source: the first `length` positions of this one stay too.
        """

    @abstractmethod
    def depth(self, seq_ids: Collection[int]) -> int:
        """Cells that a token attends to in a step of these sequences."""

    @abstractmethod
    def native_id(self, seq_id: int) -> int:
        """llama.cpp's id of a sequence, until `gather` is called again."""

    @abstractmethod
    def gather(self, seq_ids: Collection[int]) -> bool:
        """Let llama.cpp compute these sequences together.

        Returns:
            False if it could, were one more sequence id free.
        """

    @abstractmethod
    def extend(self, seq_id: int, n: int) -> None:
        """Account for `n` positions that the next decode fills. Needs `room(seq_id) >= n`."""

    @abstractmethod
    def trim(self, seq_id: int, length: int) -> None:
        """Forget all positions from `length` on."""

    @abstractmethod
    def copy(self, source: int, target: int, length: int) -> None:
        """Let `target` hold the first `length` positions of `source`. If it has some already, they
        are of the same tokens.
        """

    @abstractmethod
    def save(self, seq_id: int, start: int, end: int, into: ByteArray | None = None) -> ByteArray:
        """llama.cpp's state of positions `start` to `end` of a sequence. Needs `settled`.

        Args:
            start: a multiple of `block_size`.
            end: no further than the next one.
            into: memory to use, if it is large enough.
        """

    @abstractmethod
    def lacking(self, seq_id: int, n: int) -> int:
        """Cells that must become free for `load` to take a state of `n` positions."""

    @abstractmethod
    def load(self, seq_id: int, state: ByteArray, n: int, end: int) -> int:
        """Extend a sequence up to position `end` by what `save` gave. Needs `settled`.

        Args:
            state: of positions that begin at or before the sequence's end.
            n: how many positions; `lacking` is 0 for them.
            end: no further than they go.

        Returns:
            How many positions the sequence has then; fewer than `end` if llama.cpp refused it.
        """

    def settle(self) -> None:
        """llama.cpp has decoded."""
        self.settled = True

    def check_integrity(self) -> None:
        """Raises AssertionError when the books do not balance."""
        ids = sorted([*self._free_ids, *self._lengths])
        assert ids == list(range(self.n_seq_max)), "sequence ids lost or doubled"
