"""Scheduler: what the next step computes, and for whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TypeAlias

import msgspec

from edge_llama.engine.kv.kv_cache import KVCache
from edge_llama.engine.kv.prefix_cache import PrefixCache
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.engine.protocol.stats import EngineStats
from edge_llama.engine.schedule.disk_cache import DiskCache
from edge_llama.engine.schedule.pace import Pace
from edge_llama.engine.schedule.running import RunningBatch
from edge_llama.engine.schedule.waiting import WaitingQueue
from edge_llama.engine.sequence import Sequence, SequenceStatus
from edge_llama.engine.side.prefill import SidePrefill
from edge_llama.engine.span import Sampled, Span
from edge_llama.settings.engine import FEW_SCORED_TOKENS, SCORED_TOKENS

AGEING = 100.0
"""Tokens by which a second since its start makes a prompt count as shorter. The queue does not
count: of many requests that came at once, all would then be older than anybody else's.
"""

PROGRESS_TOKENS = 128
"""Most tokens that a prompt whose progress is told is read by at once."""

Plan: TypeAlias = dict[Sequence, Span]


class Scheduler:
    """Continuous batching: decode first, prefill with the rest of the step's tokens.

    Prompts are read shortest rest first, with ageing, so that none starves. Sequences of the tier
    `flex` yield to all others: in the queue, in reading prompts, and with their place.

    Args:
        kv: the KV cache; its cells bound what runs at the same time.
        prefix_cache: where finished sequences stay.
        eog_tokens: ids that end a sequence.
        parallel: most sequences that run at the same time.
        pace: how large a step may be while sequences decode.
        scored_tokens: most prompt tokens of a step that give logits; fewer while sequences decode.
        disk: where prompts are kept beyond the KV cache; None keeps none.
        side: where prompts are read beside the steps; None reads none there.
        clock: seconds.
    """

    def __init__(
        self,
        kv: KVCache,
        prefix_cache: PrefixCache,
        *,
        eog_tokens: Collection[int],
        parallel: int,
        pace: Pace,
        scored_tokens: int = SCORED_TOKENS,
        disk: DiskCache | None = None,
        side: SidePrefill | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._kv = kv
        self._prefix_cache = prefix_cache
        self._eog_tokens = frozenset(eog_tokens)
        self._parallel = parallel
        self._pace = pace
        self._scored_tokens = scored_tokens
        self._disk = disk
        self._side = side
        self._clock = clock
        self.waiting = WaitingQueue()
        self.paused: list[Sequence] = []
        self._advanced: list[Sequence] = []
        self._batch = RunningBatch(kv, prefix_cache, disk, side)
        self._counts = EngineStats(cells=kv.n_cells)

    @property
    def running(self) -> list[Sequence]:
        """The sequences that run, the longest first."""
        return self._batch.sequences

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    def stats(self) -> EngineStats:
        """What was done up to the last `observe`; may be called from any thread."""
        disk = None if self._disk is None else self._disk.stats()
        return msgspec.structs.replace(self._counts, disk=disk)

    def observe(self) -> None:
        """Note how things are at this moment."""
        self._counts.running = len(self.running)
        self._counts.waiting = len(self.waiting) + len(self.paused)
        self._counts.cached_tokens = self._batch.cached_tokens
        self._counts.cells_used = self._kv.n_cells - self._kv.n_free
        self._counts.cells_idle = self._prefix_cache.n_idle

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        self.waiting.add(sequence)

    def abort_all(self) -> None:
        """End everything; what is computed stays cached."""
        for sequence in self._unfinished():
            self._finish(sequence, FinishReason.ABORT)

    def abort(self, id: int, index: int | None = None) -> list[Sequence]:
        """End the choices of a request that are not finished; what is computed stays cached."""
        ended = [
            sequence
            for sequence in self._unfinished()
            if sequence.id == id and index in (None, sequence.index)
        ]
        for sequence in ended:
            self._finish(sequence, FinishReason.ABORT)
        return ended

    def pause(self, id: int, paused: bool) -> None:
        """Give a request's places to others while its outputs are not taken, or let it go on."""
        for sequence in [each for each in self._unfinished() if each.id == id]:
            if not paused:
                if sequence in self.paused:
                    self.paused.remove(sequence)
                    self.waiting.put_back(sequence)
            elif sequence not in self.paused:
                if sequence.status is SequenceStatus.RUNNING:
                    self._preempt(sequence)
                self.waiting.remove(sequence)
                self.paused.append(sequence)

    def schedule(self) -> list[Span]:
        """Choose the next step's tokens and account for their cells.

        Returns:
            Spans in the order of their ids in llama.cpp, which computes neighbours together.
        """
        for sequence, before in self._batch.take_blocks():
            self._count(sequence, before)
            self._advanced.append(sequence)
        while self._admit():
            pass
        self._batch.gather()
        plan: Plan = {}
        for sequence in list(self.running):
            if sequence.decoding:
                self._plan(sequence, 1, plan)
        if prefilling := self._read_beside(plan, self._prefill_order()):
            budget = self._step_size(plan) - len(plan)
            if any(sequence.embeds for sequence in prefilling):
                # llama.cpp then has logits of all tokens of a step, whoever they belong to.
                budget = min(budget, self._scored_room(plan))
            for sequence in prefilling:
                budget -= self._plan(sequence, budget, plan)
        if not plan and not self._kv.settled and self._side is not None:
            # Only a step would settle it, so nothing could be taken from there.
            self._side.stop()
        return sorted(plan.values(), key=lambda span: span.seq_id)

    def postprocess(
        self, spans: list[Span], sampled: list[Sampled]
    ) -> list[tuple[Sequence, Sampled]]:
        """Append what was sampled and end what is complete.

        Args:
            spans: what `schedule` gave.
            sampled: for each span as many tokens as it had outputs, or fewer where a draft was
                not accepted; the first wrong draft and all after it are dropped here. Forced
                tokens after them are computed in one of the next steps.

        Returns:
            The sequences that have something to tell, and what they took.
        """
        self._kv.settle()
        told = []
        for span, result in zip(spans, sampled, strict=True):
            sequence = span.sequence
            rejected = span.n_outputs - len(result.tokens)
            before = sequence.num_computed
            sequence.num_computed += len(span.tokens) - rejected
            self._kv.trim(sequence.seq_id, sequence.num_computed)
            self._batch.offer(sequence, before)
            self._count(sequence, before)
            if span.scored:
                sequence.num_scored = sequence.num_computed
            new = result.tokens + result.forced
            tokens = result.tokens = self._append(sequence, new) if span.n_outputs else []
            del result.logprobs[len(tokens) :]
            self._counts.generated_tokens += len(tokens)
            ends = result.stuck or sequence.num_computed == sequence.max_length
            if ends and sequence.status is SequenceStatus.RUNNING:
                self._finish(sequence, FinishReason.LENGTH)
            reads = sequence.progress and not sequence.num_output
            if tokens or result.prompt_logprobs or sequence.finish_reason or reads:
                told.append((sequence, result))
        return told

    def _count(self, sequence: Sequence, before: int) -> None:
        """Count the tokens of the prompt that were computed after the first `before`."""
        n = sequence.num_prompt
        self._counts.prompt_tokens += min(n, sequence.num_computed) - min(n, before)

    def moved_on(self) -> list[Sequence]:
        """Sequences that are to tell how far they are, and have another place in the queue than
        last time, or were read beside the steps.
        """
        moved = [
            each
            for each in self._advanced
            if each.progress and each.status is SequenceStatus.RUNNING
        ]
        self._advanced.clear()
        for ahead, sequence in enumerate(self.waiting):
            if sequence.progress and sequence.ahead != ahead:
                sequence.ahead = ahead
                moved.append(sequence)
        return moved

    def record(self, spans: list[Span], seconds: float) -> None:
        """Remember what a step took."""
        size = sum(len(span.tokens) for span in spans)
        self._pace.record(size, self._batch.depth, seconds)

    def save(self, step_seconds: float) -> bool:
        """Copy a block that is not on disk yet out of the KV cache, if it is time for that.

        Args:
            step_seconds: what the step took that was computed before.

        Returns:
            False if there was nothing to do.
        """
        if self._disk is None:
            return False
        block = self._disk.next_unsaved(step_seconds, idle=not self.running)
        if block is None:
            return False
        self._batch.save(block)
        return True

    @property
    def n_unsaved(self) -> int:
        """Blocks that `save` has still to copy."""
        return 0 if self._disk is None else self._disk.n_unsaved

    def close(self, timeout: float) -> None:
        """Wait until what was saved is on disk, for so many seconds at most."""
        if self._side is not None:
            self._side.close(timeout)
        if self._disk is not None:
            self._disk.close(timeout)

    def rollback(self, spans: list[Span]) -> None:
        """Undo `schedule` after a step that was not computed."""
        for span in spans:
            self._kv.trim(span.sequence.seq_id, span.sequence.num_computed)

    def relieve(self) -> bool:
        """Make room after llama.cpp found none: drop the prefix cache, else preempt one."""
        if self._prefix_cache.clear():
            return True
        if len(self.running) > 1:
            self._preempt(self.running[-1])
            return True
        return False

    def check_integrity(self) -> None:
        """Raises AssertionError when scheduler, prefix cache and KV cache disagree."""
        self._batch.check_integrity()
        assert all(each.seq_id < 0 for each in (*self.waiting, *self.paused))

    def _unfinished(self) -> list[Sequence]:
        return [*self.running, *self.waiting, *self.paused]

    def _step_size(self, decoding: Plan) -> int:
        """Most tokens of a step in which these decode."""
        return self._pace.step_size(_n_paced(decoding), self._batch.depth)

    def _read_beside(self, decoding: Plan, order: list[Sequence]) -> list[Sequence]:
        """Have the first of these read beside the steps, if they would read it slowly.

        Args:
            decoding: who decodes.
            order: whose prompts are to be read, the first first.

        Returns:
            Those whose prompts are read in the step.
        """
        side = self._side
        if side is None:
            return order
        n_decoding = _n_paced(decoding)
        starts = n_decoding and order and not side.busy and side.suits(order[0])
        if starts and self._pace.crawls(n_decoding, self._batch.depth):
            side.start(order[0])
        self._pace.halved = side.busy
        if side.sequence not in order:
            return order
        place = order.index(side.sequence)
        if not n_decoding or (place and side.suits(order[0])):
            side.retire()
        # Who comes later waits for his turn there, unless he disturbs nobody.
        return order[:place] if n_decoding else order[:place] + order[place + 1 :]

    def _prefill_order(self) -> list[Sequence]:
        now = self._clock()

        def rank(sequence: Sequence) -> tuple[bool, float]:
            rest = sequence.num_pending - AGEING * (now - sequence.admitted)
            return sequence.tier is ServiceTier.FLEX, rest

        reads = (each for each in self.running if not each.decoding and each.reading is None)
        return sorted(reads, key=rank)

    def _plan(self, sequence: Sequence, budget: int, plan: Plan) -> int:
        """Plan up to `budget` pending tokens of a sequence; returns how many."""
        start = sequence.num_computed
        scored = sequence.scoring and start == sequence.num_scored
        n = min(sequence.num_pending, budget)
        if scored:
            n = min(n, self._scored_room(plan))
        elif sequence.scoring:
            n = min(n, sequence.num_scored - start)
        if sequence.progress:
            n = min(n, PROGRESS_TOKENS)
        if n <= 0 or not self._make_room(sequence, n, plan):
            return 0
        self._kv.extend(sequence.seq_id, n)
        n_outputs = int(start + n == len(sequence.token_ids) < sequence.max_length)
        tokens = sequence.token_ids[start : start + n]
        seq_id = self._kv.native_id(sequence.seq_id)
        plan[sequence] = Span(sequence, start, tokens, n_outputs, seq_id, scored, sequence.embeds)
        return n

    def _scored_room(self, plan: Plan) -> int:
        """How many more tokens of prompts may give logits in a step, beside what is planned."""
        room = self._scored_tokens
        if any(sequence.decoding for sequence in plan):
            room = min(room, FEW_SCORED_TOKENS)
        return room - sum(len(span.tokens) for span in plan.values() if span.scored)

    def _make_room(self, sequence: Sequence, n: int, plan: Plan) -> bool:
        """Free `n` cells: cached prefixes go first, then the running sequence that can best be done
        without.

        Returns:
            False if `sequence` itself had to give way.
        """
        if sequence.status is not SequenceStatus.RUNNING:
            return False
        while (room := self._kv.room(sequence.seq_id)) < n:
            if self._prefix_cache.evict(n - room):
                continue
            victim = self._batch.most_dispensable
            plan.pop(victim, None)
            self._preempt(victim)
            if victim is sequence:
                return False
        return True

    def _admit(self) -> bool:
        """Let one that waits run: the first in the queue or, if that cannot, the first of a caller
        that has no more places.
        """
        heads = self.waiting.heads()
        places = self._batch.places

        def may_pass(sequence: Sequence) -> bool:
            no_more = places[sequence.caller] <= places[heads[0].caller]
            return no_more and sequence.tier is not ServiceTier.FLEX

        return any(self._start(each) for each in heads if each is heads[0] or may_pass(each))

    def _start(self, sequence: Sequence) -> bool:
        """Let a sequence run, with the longest prefix that is already computed, if it may."""
        if len(self.running) >= self._parallel and not self._yield_place(sequence):
            return False
        if not self._batch.start(sequence):
            return False
        self.waiting.remove(sequence)
        if not sequence.preempted:
            sequence.admitted = self._clock()
        self._batch.read(sequence)
        return True

    def _preempt(self, sequence: Sequence) -> None:
        """Send a running sequence back to the head of the queue."""
        self._batch.preempt(sequence)
        sequence.status = SequenceStatus.WAITING
        self.waiting.put_back(sequence)

    def _yield_place(self, newcomer: Sequence) -> bool:
        """Preempt one for a newcomer, if one should give way: the youngest of the tier `flex`, or
        one of a caller that has more places.
        """
        if newcomer.tier is ServiceTier.FLEX:
            return False
        victim: Sequence | None
        if self._batch.flex:
            victim = self._batch.flex[-1]
        else:
            victim = self._batch.shared_out(newcomer)
            if victim is None or not self._batch.may_start(newcomer):
                return False
        self._preempt(victim)
        return True

    def _append(self, sequence: Sequence, tokens: list[int]) -> list[int]:
        """Append output tokens up to the one that ends the sequence."""
        if not sequence.first_token:
            sequence.first_token = self._clock()
        for count, token in enumerate(tokens, 1):
            sequence.token_ids.append(token)
            if token in self._eog_tokens:
                self._finish(sequence, FinishReason.STOP)
                return tokens[:count]
            if len(sequence.token_ids) >= sequence.max_length:
                self._finish(sequence, FinishReason.LENGTH)
                return tokens[:count]
        return tokens

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        if sequence.status is SequenceStatus.RUNNING:
            self._batch.release(sequence)
        elif sequence in self.paused:
            self.paused.remove(sequence)
        else:
            self.waiting.remove(sequence)
        sequence.status = SequenceStatus.FINISHED
        sequence.finish_reason = reason


def _n_paced(decoding: Plan) -> int:
    """How many decode, if one of them is a user's stream: only those set the pace."""
    return len(decoding) if any(each.tier is not ServiceTier.FLEX for each in decoding) else 0
