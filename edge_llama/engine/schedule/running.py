"""RunningBatch: the sequences that run, and what they hold of the KV cache."""

from __future__ import annotations

from collections import Counter

from edge_llama.engine.blocks.reading import LoadedBlock
from edge_llama.engine.blocks.unsaved import Unsaved
from edge_llama.engine.kv.kv_cache import KVCache
from edge_llama.engine.kv.prefix_cache import PrefixCache, TokenArray, common_prefix
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.engine.schedule.disk_cache import DiskCache
from edge_llama.engine.sequence import Sequence, SequenceStatus
from edge_llama.engine.side.prefill import SidePrefill

SHARED_PREFILL = 32
"""A newcomer waits for a running prefill that will give it at least this many tokens."""

IDLE_SHARE = 0.25
"""The part of all cells that prefixes which nobody uses may keep when a sequence starts; of
what can be read from the disk again it is one block.

In a unified cache every token attends to all cells up to the highest that is in use, and masks
those of others afterwards. So for each answer of 200 tokens to a prompt of 500 an idle cell costs a
third of what it costs to compute it again, and ten times of what it costs to read it.
"""

HEADROOM = 64
"""Free cells kept per running sequence when another is admitted, against preempting it at once."""

SMALL_SHARE = 1 / 16
"""The part of all cells up to which a sequence starts although there will be no room for it once
all prompts are read: it is read before longer ones, and likely ends before them. If not, it gives
way, and starts again when as much room is left.
"""


class RunningBatch:
    """The sequences that run.

    A sequence starts with the longest prefix that the prefix cache or another of them holds, and
    with more of it from the disk. When it leaves, the prefix cache and the disk take what it has.

    Args:
        kv: the KV cache.
        prefix_cache: where sequences stay that left.
        disk: where prompts are kept beyond the KV cache; None keeps none.
        side: where prompts are read beside the steps; None reads none there.

    Attributes:
        sequences: those that run, the longest first.
        cached_tokens: tokens that sequences did not have to compute.
    """

    def __init__(
        self,
        kv: KVCache,
        prefix_cache: PrefixCache,
        disk: DiskCache | None,
        side: SidePrefill | None,
    ) -> None:
        self._side = side
        self._kv = kv
        self._prefix_cache = prefix_cache
        self._disk = disk
        self.sequences: list[Sequence] = []
        self.cached_tokens = 0

    @property
    def depth(self) -> int:
        """Tokens in the KV cache that a step of all that run attends to."""
        return self._kv.depth(self._seq_ids)

    @property
    def flex(self) -> list[Sequence]:
        """Those of the tier `flex`."""
        return [each for each in self.sequences if each.tier is ServiceTier.FLEX]

    def start(self, sequence: Sequence) -> bool:
        """Let a sequence run, with the longest prefix that is already computed; False if it had
        better wait: for room, or for a prompt that is being read and begins alike.
        """
        prompt = sequence.reusable()
        source, length = self._holder(prompt, sequence.cache_domain)
        if not self._may_start(sequence, source, length):
            return False
        sequence.seq_id = self._prefix_cache.start(prompt, sequence.cache_domain, source, length)
        # The cells that it fills will be the lowest that are free.
        self._prefix_cache.shrink(self._most_idle)
        length = self._kv.length(sequence.seq_id)
        self.sequences.append(sequence)
        sequence.status = SequenceStatus.RUNNING
        sequence.num_computed = length
        self._count_cached(sequence, length)
        return True

    def may_start(self, sequence: Sequence) -> bool:
        """Whether `start` would let a sequence run."""
        return self._may_start(sequence, *self._holder(sequence.reusable(), sequence.cache_domain))

    @property
    def places(self) -> Counter[str]:
        """How many sequences of each caller run."""
        return Counter(each.caller for each in self.sequences)

    @property
    def most_dispensable(self) -> Sequence:
        """The youngest of the tier `flex` or, if there is none, of the caller that has the most
        places.
        """
        places = self.places
        return max(reversed(self.flex or self.sequences), key=lambda each: places[each.caller])

    def shared_out(self, newcomer: Sequence) -> Sequence | None:
        """Who gives his place to a caller that then has no more than he: the youngest whose prompt
        is still being read.
        """
        places = self.places
        fair = places[newcomer.caller] + 2
        rich = (each for each in reversed(self.sequences) if places[each.caller] >= fair)
        return next((each for each in rich if not each.decoding), None)

    def read(self, sequence: Sequence) -> None:
        """Begin to read what is on disk of a prompt that has just started."""
        if self._disk is not None:
            prompt, length = sequence.reusable(), sequence.num_computed
            sequence.reading = self._disk.read(prompt, sequence.cache_domain, length, self.depth)

    def take_blocks(self) -> list[tuple[Sequence, int]]:
        """Take over what has come from the disk or was read beside the steps; one block for each
        while others decode.

        Returns:
            The sequences of which something was read beside the steps, and what they held before.
        """
        busy = any(sequence.decoding for sequence in self.sequences)
        for sequence in self.sequences:
            while sequence.reading is not None and (block := sequence.reading.take()) is not None:
                self._take_block(sequence, block)
                if busy:
                    break
            if self._has_read(sequence):
                self._stop_reading(sequence)
        return [] if self._side is None else self._take_from_side(self._side, busy)

    def gather(self) -> None:
        """Have llama.cpp compute together what runs, also at the price of a cached prefix."""
        while not self._kv.gather(self._seq_ids) and self._prefix_cache.evict(1):
            pass

    def offer(self, sequence: Sequence, before: int) -> None:
        """All after the first `before` tokens that a sequence holds were computed just now: the
        disk may have them.
        """
        if self._disk is not None and not sequence.embeds:
            self._disk.offer(_computed(sequence), before, sequence.cache_domain)

    def save(self, block: Unsaved) -> None:
        """Copy a block to the disk, if it is still held whole."""
        source, length = self._holder(block.tokens, block.domain)
        if self._disk is not None and length == len(block.tokens):
            self._disk.save(block, source)

    def preempt(self, sequence: Sequence) -> None:
        """Take a sequence's place for others: its KV becomes evictable, so what is not on disk yet
        is saved first.
        """
        computed = _computed(sequence)
        self.release(sequence)
        if self._disk is not None:
            for block in self._disk.endangered(computed, sequence.cache_domain):
                self.save(block)
        sequence.preempted = True

    def release(self, sequence: Sequence) -> None:
        """End a sequence's run; what is computed stays in the prefix cache, unless it was for an
        embedding: nobody goes on from there.
        """
        self.sequences.remove(sequence)
        self._stop_reading(sequence)
        if self._side is not None:
            self._side.stop(sequence)
        if sequence.embeds:
            sequence.num_computed = 0
        self._kv.trim(sequence.seq_id, sequence.num_computed)
        computed = _computed(sequence)
        if self._disk is not None:
            self._disk.offer_tail(computed, sequence.cache_domain)
        self._prefix_cache.insert(computed, sequence.seq_id, sequence.cache_domain)
        sequence.seq_id = -1
        sequence.num_computed = 0

    def check_integrity(self) -> None:
        """Raises AssertionError when sequences, prefix cache and KV cache disagree."""
        self._kv.check_integrity()
        self._prefix_cache.check_integrity()
        for sequence in self.sequences:
            assert self._kv.length(sequence.seq_id) == sequence.num_computed

    @property
    def _seq_ids(self) -> list[int]:
        return [sequence.seq_id for sequence in self.sequences]

    @property
    def _most_idle(self) -> int:
        """Tokens that may stay in the prefix cache though nobody uses them."""
        share = int(IDLE_SHARE * self._kv.n_cells)
        lacking = None if self._disk is None else self._disk.n_lacking
        # What is not on disk yet was used last, so it is dropped last.
        return share if lacking is None else min(share, (1 + lacking) * self._kv.block_size)

    def _holder(self, tokens: TokenArray, domain: str) -> tuple[int, int]:
        """The sequence that holds most of the first of `tokens`, and how many of them."""
        match = self._prefix_cache.match(tokens, domain)
        source, length = (match.seq_id, match.length) if match else (-1, 0)
        for other in self.sequences:
            if other.cache_domain == domain:
                shared = common_prefix(_computed(other), tokens)
                if shared > length:
                    source, length = other.seq_id, shared
        return source, length

    def _coming(self, tokens: TokenArray, domain: str) -> int:
        """How many of the first of `tokens` a sequence will hold once its prompt is read."""
        others = (each for each in self.sequences if each.cache_domain == domain)
        return max((common_prefix(each.token_array(), tokens) for each in others), default=0)

    def _may_start(self, sequence: Sequence, source: int, length: int) -> bool:
        coming = self._coming(sequence.reusable(), sequence.cache_domain)
        return coming - length < SHARED_PREFILL and self._fits(sequence, source, length)

    def _fits(self, sequence: Sequence, source: int, length: int) -> bool:
        """Whether what a sequence has after `length` tokens finds room beside what runs, or would
        without the prefix cache.
        """
        if not self.sequences:
            return True
        rest = len(sequence.token_ids) - length
        needed = rest + HEADROOM * (len(self.sequences) + 1)
        room = int(SMALL_SHARE * self._kv.n_cells)
        small = needed <= room
        if small and sequence.preempted:
            needed += room
        needed += sum(
            other.num_pending for other in self.sequences if not small or other.num_pending <= rest
        )
        return self._kv.fits(needed, self._seq_ids, source, length)

    def _take_block(self, sequence: Sequence, block: LoadedBlock) -> None:
        assert self._disk is not None
        before = sequence.num_computed
        self._make_room(sequence, block)
        sequence.num_computed = self._disk.load(sequence.seq_id, block)
        if sequence.num_computed != block.end:
            self._stop_reading(sequence)
        self._count_cached(sequence, sequence.num_computed - before)

    def _take_from_side(self, side: SidePrefill, busy: bool) -> list[tuple[Sequence, int]]:
        side.feed()
        taken = []
        while (computed := side.take()) is not None:
            sequence, block = computed
            before = sequence.num_computed
            self._make_room(sequence, block)
            length = self._kv.load(sequence.seq_id, block.state, block.n_tokens, block.end)
            sequence.num_computed = length
            if length != block.end:
                side.refuse(sequence)
            self.offer(sequence, before)
            taken.append((sequence, before))
            if busy:
                break
        return taken

    def _make_room(self, sequence: Sequence, block: LoadedBlock) -> None:
        """Evict what a block needs, as far as there is something."""
        while (lacking := self._kv.lacking(sequence.seq_id, block.n_tokens)) > 0:
            if not self._prefix_cache.evict(lacking):
                break

    def _has_read(self, sequence: Sequence) -> bool:
        """Whether nothing more comes for a sequence, or not in time."""
        reading = sequence.reading
        if reading is None or self._disk is None:
            return False
        return reading.ended or self._disk.give_up(reading, sequence.num_computed)

    def _stop_reading(self, sequence: Sequence) -> None:
        if sequence.reading is not None:
            sequence.reading.cancel()
            sequence.reading = None

    def _count_cached(self, sequence: Sequence, n: int) -> None:
        self.cached_tokens += n
        if not sequence.preempted:
            sequence.num_cached = (sequence.num_cached or 0) + n


def _computed(sequence: Sequence) -> TokenArray:
    """The tokens of a sequence that are in the KV cache."""
    return sequence.token_array()[: sequence.num_computed]
