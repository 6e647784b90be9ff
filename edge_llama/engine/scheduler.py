"""Scheduler: what the next step computes, and for whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from edge_llama.config import FEW_SCORED_TOKENS, PROGRESS_TOKENS, SCORED_TOKENS
from edge_llama.engine.blocks.reading import LoadedBlock
from edge_llama.engine.blocks.unsaved import Unsaved
from edge_llama.engine.disk_cache import DiskCache
from edge_llama.engine.kv_cache import KVCache
from edge_llama.engine.messages import FinishReason, ServiceTier, TokenLogprob
from edge_llama.engine.pace import Pace
from edge_llama.engine.prefix_cache import PrefixCache, TokenArray, common_prefix
from edge_llama.engine.sequence import Sequence, SequenceStatus
from edge_llama.engine.stats import EngineStats
from edge_llama.engine.waiting import WaitingQueue

SHARED_PREFILL = 32
"""A newcomer waits for a running prefill that will give it at least this many tokens."""

AGEING = 100.0
"""Tokens by which a second of waiting makes a prompt count as shorter."""

HEADROOM = 64
"""Free cells kept per running sequence when another is admitted, against preempting it at once."""


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens of one sequence in one step.

    Attributes:
        sequence: whose tokens.
        start: position of the first.
        tokens: one or more; a prompt's chunk, or the last output and drafts after it.
        n_outputs: from how many of the last ones a token is sampled: 0 inside a prompt, 1 at its
            end and when decoding, 1 + drafts when speculating.
        seq_id: llama.cpp's id of the sequence in this step.
        scored: all tokens give logits, for the log-probabilities of those that follow them.
        embedded: all tokens give embeddings.
    """

    sequence: Sequence
    start: int
    tokens: list[int]
    n_outputs: int
    seq_id: int
    scored: bool = False
    embedded: bool = False

    @property
    def n_logits(self) -> int:
        """How many of the last tokens give logits."""
        return len(self.tokens) if self.scored else self.n_outputs


Plan: TypeAlias = dict[Sequence, Span]


@dataclass(slots=True)
class Sampled:
    """What was sampled from a span.

    Attributes:
        tokens: one per output of the span, or fewer where a draft was not accepted.
        forced: tokens that must follow these; none where log-probabilities are asked for.
        stuck: nothing may follow these.
        logprobs: one entry per token, if the sequence asks for them.
        prompt_logprobs: one for each token of the prompt that follows one of a scored span.
        embedding: of a prompt that is embedded, when it is whole.
    """

    tokens: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    stuck: bool = False
    logprobs: list[TokenLogprob] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprob] = field(default_factory=list)
    embedding: bytes = b""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step gave a sequence: new output tokens, and that it ended if it did."""

    sequence: Sequence
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprob] = field(default_factory=list)
    embedding: bytes = b""


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
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._kv = kv
        self._prefix_cache = prefix_cache
        self._eog_tokens = frozenset(eog_tokens)
        self._parallel = parallel
        self._pace = pace
        self._scored_tokens = scored_tokens
        self._disk = disk
        self._clock = clock
        self.waiting = WaitingQueue()
        self.running: list[Sequence] = []
        self.paused: list[Sequence] = []
        self._counts = EngineStats(cells=kv.n_cells)

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
        self._take_blocks()
        while self._admit():
            pass
        self._gather()
        plan: Plan = {}
        for sequence in list(self.running):
            if sequence.decoding:
                self._plan(sequence, 1, plan)
        if prefilling := self._prefill_order():
            budget = self._step_size(plan) - len(plan)
            if any(sequence.embeds for sequence in prefilling):
                # llama.cpp then has logits of all tokens of a step, whoever they belong to.
                budget = min(budget, self._scored_room(plan))
            for sequence in prefilling:
                budget -= self._plan(sequence, budget, plan)
        return sorted(plan.values(), key=lambda span: span.seq_id)

    def postprocess(self, spans: list[Span], sampled: list[Sampled]) -> list[Progress]:
        """Append what was sampled and end what is complete.

        Args:
            spans: what `schedule` gave.
            sampled: for each span as many tokens as it had outputs, or fewer where a draft was
                not accepted; the first wrong draft and all after it are dropped here. Forced
                tokens after them are computed in one of the next steps.
        """
        self._kv.settle()
        progress = []
        for span, result in zip(spans, sampled, strict=True):
            sequence = span.sequence
            rejected = span.n_outputs - len(result.tokens)
            before = sequence.num_computed
            sequence.num_computed += len(span.tokens) - rejected
            self._kv.trim(sequence.seq_id, sequence.num_computed)
            if self._disk is not None and not sequence.embeds:
                computed = sequence.token_array()[: sequence.num_computed]
                self._disk.offer(computed, before, sequence.cache_domain)
            self._count(sequence, before)
            if span.scored:
                sequence.num_scored = sequence.num_computed
            new = result.tokens + result.forced
            tokens = self._append(sequence, new) if span.n_outputs else []
            self._counts.generated_tokens += len(tokens)
            ends = result.stuck or sequence.num_computed == sequence.max_length
            if ends and sequence.status is SequenceStatus.RUNNING:
                self._finish(sequence, FinishReason.LENGTH)
            reads = sequence.progress and not sequence.num_output
            if tokens or result.prompt_logprobs or sequence.finish_reason or reads:
                logprobs = result.logprobs[: len(tokens)]
                progress.append(
                    Progress(sequence, tokens, logprobs, result.prompt_logprobs, result.embedding)
                )
        return progress

    def _count(self, sequence: Sequence, before: int) -> None:
        """Count the tokens of the prompt that were computed after the first `before`."""
        n = sequence.num_prompt
        self._counts.prompt_tokens += min(n, sequence.num_computed) - min(n, before)

    def moved_up(self) -> list[Sequence]:
        """Sequences that are to tell their place in the queue, and have another than last time."""
        moved = []
        for ahead, sequence in enumerate(self.waiting):
            if sequence.progress and sequence.ahead != ahead:
                sequence.ahead = ahead
                moved.append(sequence)
        return moved

    def record(self, spans: list[Span], seconds: float) -> None:
        """Remember what a step took."""
        size = sum(len(span.tokens) for span in spans)
        self._pace.costs.record(size, self.depth, seconds)

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
        self._save(self._disk, block)
        return True

    def _save(self, disk: DiskCache, block: Unsaved) -> None:
        source, length = self._holder(block.tokens, block.domain)
        if length == len(block.tokens):
            disk.save(block, source)

    @property
    def n_unsaved(self) -> int:
        """Blocks that `save` has still to copy."""
        return 0 if self._disk is None else self._disk.n_unsaved

    def close(self, timeout: float) -> None:
        """Wait until what was saved is on disk, for so many seconds at most."""
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
        self._kv.check_integrity()
        self._prefix_cache.check_integrity()
        for sequence in self.running:
            assert self._kv.length(sequence.seq_id) == sequence.num_computed
        assert all(each.seq_id < 0 for each in (*self.waiting, *self.paused))

    @property
    def depth(self) -> int:
        """Tokens in the KV cache that a step of all that run attends to."""
        return self._kv.depth([sequence.seq_id for sequence in self.running])

    def _unfinished(self) -> list[Sequence]:
        return [*self.running, *self.waiting, *self.paused]

    def _step_size(self, decoding: Plan) -> int:
        """Most tokens of a step in which these decode; only streams of users set the pace."""
        paced = any(sequence.tier is not ServiceTier.FLEX for sequence in decoding)
        return self._pace.step_size(len(decoding) if paced else 0, self.depth)

    def _prefill_order(self) -> list[Sequence]:
        now = self._clock()

        def rank(sequence: Sequence) -> tuple[bool, float]:
            rest = sequence.num_pending - AGEING * (now - sequence.arrived)
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
        """Free `n` cells: cached prefixes go first, then the youngest running sequence, of `flex`
        if one is.

        Returns:
            False if `sequence` itself had to give way.
        """
        if sequence.status is not SequenceStatus.RUNNING:
            return False
        while (room := self._kv.room(sequence.seq_id)) < n:
            if self._prefix_cache.evict(n - room):
                continue
            victim = self._flex_running()[-1:] or self.running[-1:]
            plan.pop(victim[0], None)
            self._preempt(victim[0])
            if victim[0] is sequence:
                return False
        return True

    def _admit(self) -> bool:
        """Let the first in the queue run, with the longest prefix that is already computed."""
        sequence = next(iter(self.waiting), None)
        if sequence is None:
            return False
        if len(self.running) >= self._parallel and not self._yield_place(sequence):
            return False
        prompt = sequence.reusable()
        source, length = self._holder(prompt, sequence.cache_domain)
        coming = 0
        for other in self.running:
            if other.cache_domain == sequence.cache_domain:
                shared = common_prefix(other.token_array(), prompt)
                coming = max(coming, shared)
        if coming - length >= SHARED_PREFILL:
            return False
        if not self._fits(len(sequence.token_ids) - length, source, length):
            return False
        sequence.seq_id = self._prefix_cache.start(prompt, sequence.cache_domain, source, length)
        length = self._kv.length(sequence.seq_id)
        self._start(sequence, length)
        if self._disk is not None:
            depth = self.depth
            sequence.reading = self._disk.read(prompt, sequence.cache_domain, length, depth)
        return True

    def _holder(self, tokens: TokenArray, domain: str) -> tuple[int, int]:
        """The sequence that holds most of the first of `tokens`, and how many of them."""
        match = self._prefix_cache.match(tokens, domain)
        source, length = (match.seq_id, match.length) if match else (-1, 0)
        for other in self.running:
            if other.cache_domain == domain:
                shared = common_prefix(other.token_array()[: other.num_computed], tokens)
                if shared > length:
                    source, length = other.seq_id, shared
        return source, length

    def _take_blocks(self) -> None:
        """Take over what has come from the disk; one block for each while others decode."""
        busy = any(sequence.decoding for sequence in self.running)
        for sequence in self.running:
            while sequence.reading is not None and (block := sequence.reading.take()) is not None:
                self._take_block(sequence, block)
                if busy:
                    break
            if self._has_read(sequence):
                self._stop_reading(sequence)

    def _take_block(self, sequence: Sequence, block: LoadedBlock) -> None:
        assert self._disk is not None
        before = sequence.num_computed
        while (lacking := self._kv.lacking(sequence.seq_id, block.n_tokens)) > 0:
            if not self._prefix_cache.evict(lacking):
                break
        sequence.num_computed = self._disk.load(sequence.seq_id, block)
        if sequence.num_computed != block.end:
            self._stop_reading(sequence)
        gained = sequence.num_computed - before
        self._counts.cached_tokens += gained
        if not sequence.preempted:
            sequence.num_cached = (sequence.num_cached or 0) + gained

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

    def _fits(self, needed: int, source: int, length: int) -> bool:
        """Whether `needed` more tokens have room beside what runs, or would have without the prefix
        cache.
        """
        if not self.running:
            return True
        needed += HEADROOM * (len(self.running) + 1)
        needed += sum(other.num_pending for other in self.running)
        running = [sequence.seq_id for sequence in self.running]
        return self._kv.fits(needed, running, source, length)

    def _gather(self) -> None:
        """Have llama.cpp compute together what runs, also at the price of a cached prefix."""
        running = [sequence.seq_id for sequence in self.running]
        while not self._kv.gather(running) and self._prefix_cache.evict(1):
            pass

    def _start(self, sequence: Sequence, length: int) -> None:
        """Begin to run, with `length` tokens computed."""
        self.waiting.remove(sequence)
        self.running.append(sequence)
        sequence.status = SequenceStatus.RUNNING
        sequence.num_computed = length
        self._counts.cached_tokens += length
        if sequence.num_cached is None:
            sequence.num_cached = length
            sequence.admitted = self._clock()

    def _preempt(self, sequence: Sequence) -> None:
        """Send a running sequence back to the head of the queue; its KV becomes evictable, so what
        is not on disk yet is saved first.
        """
        computed = sequence.token_array()[: sequence.num_computed]
        self._release(sequence)
        if self._disk is not None:
            for block in self._disk.endangered(computed, sequence.cache_domain):
                self._save(self._disk, block)
        sequence.preempted = True
        sequence.status = SequenceStatus.WAITING
        self.waiting.put_back(sequence)

    def _yield_place(self, newcomer: Sequence) -> bool:
        """Preempt the youngest of the tier `flex` for a newcomer of another tier."""
        flex = self._flex_running()
        if newcomer.tier is ServiceTier.FLEX or not flex:
            return False
        self._preempt(flex[-1])
        return True

    def _flex_running(self) -> list[Sequence]:
        return [each for each in self.running if each.tier is ServiceTier.FLEX]

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
            self._release(sequence)
        elif sequence in self.paused:
            self.paused.remove(sequence)
        else:
            self.waiting.remove(sequence)
        sequence.status = SequenceStatus.FINISHED
        sequence.finish_reason = reason

    def _release(self, sequence: Sequence) -> None:
        """Leave the running set; what is computed stays in the prefix cache, unless it was for an
        embedding: nobody goes on from there.
        """
        self.running.remove(sequence)
        self._stop_reading(sequence)
        if sequence.embeds:
            sequence.num_computed = 0
        self._kv.trim(sequence.seq_id, sequence.num_computed)
        computed = sequence.token_array()[: sequence.num_computed]
        if self._disk is not None:
            self._disk.offer_tail(computed, sequence.cache_domain)
        self._prefix_cache.insert(computed, sequence.seq_id, sequence.cache_domain)
        sequence.seq_id = -1
        sequence.num_computed = 0
