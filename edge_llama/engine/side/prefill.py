"""SidePrefill: which prompt is read beside the steps of others, and when."""

from __future__ import annotations

from collections.abc import Callable

from edge_llama.engine.blocks.reading import LoadedBlock
from edge_llama.engine.kv.kv_cache import KVCache
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.side.reading import SideReading

SMALLEST = 32
"""Tokens of a prompt that are missing for it to be read here: to begin takes as long as a few."""


class SidePrefill:
    """Reads one prompt at a time on threads that the steps do without meanwhile.

    A prompt costs arithmetic and a token that decodes costs memory bandwidth, so both at once slow
    each other down much less than they would in turn.

    Args:
        kv: the KV cache of the step loop, in which prompts end up.
        read: begins to read a prompt after so many tokens of it that are computed.
        lend: has steps do without the threads, or with them again.
        smallest: tokens that must be missing of a prompt.

    Attributes:
        sequence: whose prompt is read.
    """

    def __init__(
        self,
        kv: KVCache,
        read: Callable[[TokenArray, int], SideReading],
        lend: Callable[[bool], None],
        smallest: int = SMALLEST,
    ) -> None:
        self.sequence: Sequence | None = None
        self._kv = kv
        self._read = read
        self._lend = lend
        self._smallest = smallest
        self._reading: SideReading | None = None
        self._unfit: Sequence | None = None

    @property
    def busy(self) -> bool:
        """Its threads are at work, perhaps for a prompt that nobody waits for any more."""
        return self._reading is not None

    def suits(self, sequence: Sequence) -> bool:
        """Whether a sequence may begin here."""
        missing = len(sequence.reusable()) - sequence.num_computed
        return sequence is not self._unfit and missing >= self._smallest

    def start(self, sequence: Sequence) -> None:
        """Begin with a sequence that suits, when not `busy`."""
        self.sequence = sequence
        self._lend(True)
        self._reading = self._read(sequence.reusable(), sequence.num_computed)

    def feed(self) -> None:
        """Hand over a block of what the sequence holds already, if that is still to be done."""
        if self._reading is None or self.sequence is None or not self._kv.settled:
            return
        if self._reading.hungry:
            start, size = self._reading.fed, self._kv.block_size
            end = min(start + size, self.sequence.num_computed)
            state = self._kv.save(self.sequence.seq_id, start, end)
            self._reading.feed(LoadedBlock(start, end - start, end, state))

    def take(self) -> tuple[Sequence, LoadedBlock] | None:
        """The sequence and a block of its prompt that was computed, if there is one."""
        if self._reading is None:
            return None
        sequence, block = self.sequence, None
        if sequence is not None and self._kv.settled:
            block = self._reading.take()
        if self._reading.ended:
            if self._reading.failed:
                self._unfit = sequence
            self.sequence = self._reading = None
            self._lend(False)
        return None if sequence is None or block is None else (sequence, block)

    def retire(self) -> None:
        """Let the steps go on with the prompt, as soon as what is begun is taken."""
        if self._reading is not None:
            self._reading.retire()

    def stop(self, sequence: Sequence | None = None) -> None:
        """Do no more for whoever it is, or for this sequence only."""
        if self._reading is not None and sequence in (None, self.sequence):
            self._reading.cancel()
            self.sequence = None

    def refuse(self, sequence: Sequence) -> None:
        """Stop, and do not begin with this sequence again: there was no room for what was read."""
        self._unfit = sequence
        self.stop(sequence)

    def close(self, timeout: float) -> None:
        """Stop whatever is read, and wait for so many seconds at most."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading.join(timeout)
