"""Prompts that are read beside the steps, over fakes: the thread's work is done by hand."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from edge_llama.engine.blocks.reading import LoadedBlock
from edge_llama.engine.kv.kv_cache import KVCache
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.kv.unified_kv_cache import UnifiedKVCache
from edge_llama.engine.protocol.output import FinishReason, Output
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.side.prefill import SidePrefill
from edge_llama.engine.side.reading import SideReading
from tests.engine.schedule.disk_scheduling import LazyStreams, RangeMemory
from tests.engine.schedule.fake_runner import next_token
from tests.engine.schedule.scheduling import Engine, FixedPace

BLOCK = 8
PARALLEL, CACHED = 3, 3


class Crawling(FixedPace):
    """In the steps, prompts crawl."""

    def crawls(self, decoding: int, depth: int) -> bool:
        return True


class ByHand(SideReading):
    """A `SideReading` that reads when it is told to."""

    def __init__(self, prompt: TokenArray, start: int, block_size: int) -> None:
        self.failed = False
        self.fed = 0
        self.tokens: list[int] = []
        self.retired = self.cancelled = self.fails = False
        self._words, self._start, self._size = prompt.tolist(), start, block_size
        self._saved = start
        self._ready: deque[LoadedBlock] = deque()

    @property
    def hungry(self) -> bool:
        return self.fed < self._start

    def feed(self, block: LoadedBlock) -> None:
        assert block.start == self.fed == len(self.tokens)
        self.tokens += block.state.view(np.int32).tolist()[-block.n_tokens :][: block.n_tokens]
        self.fed = block.end
        assert self.tokens == self._words[: self.fed], "another sequence's KV"

    def work(self) -> None:
        """Compute a step."""
        if self.hungry or self.finished:
            return
        length = len(self.tokens)
        end = min(length - length % BLOCK + BLOCK, len(self._words))
        self.tokens = self._words[:end]
        if end % self._size == 0 or end == len(self._words):
            self._flush()

    def _flush(self) -> None:
        end = len(self.tokens)
        start = self._saved - self._saved % self._size
        self._saved = end
        state = np.asarray(self.tokens[start:], np.int32).view(np.uint8)
        self._ready.append(LoadedBlock(start, end - start, end, state))

    @property
    def finished(self) -> bool:
        whole = len(self.tokens) == len(self._words)
        return whole or self.retired or self.cancelled or self.fails

    def take(self) -> LoadedBlock | None:
        return self._ready.popleft() if self._ready else None

    def retire(self) -> None:
        self.retired = True
        if len(self.tokens) > self._saved:
            self._flush()

    def cancel(self) -> None:
        self.cancelled = True
        self._ready.clear()

    @property
    def ended(self) -> bool:
        self.failed = self.fails
        return self.finished and not self._ready

    def join(self, timeout: float) -> None:
        assert self.cancelled


class SideEngine(Engine):
    """An EngineCore over fakes that reads beside its steps whatever it can."""

    def __init__(self, *, streams: bool, n_cells: int = 600) -> None:
        self.lent = False
        self.readings: list[ByHand] = []
        super().__init__(
            n_cells=n_cells,
            parallel=PARALLEL,
            cached=CACHED,
            streams=streams,
            memory=LazyStreams() if streams else RangeMemory(PARALLEL + CACHED),
            pace=Crawling(16, 4),
            make_side=self._make_side,
        )

    def _make_side(self, kv: KVCache) -> SidePrefill:
        if isinstance(kv, UnifiedKVCache):
            kv.block_size = BLOCK
        self.side = SidePrefill(kv, self._read, self._lend, smallest=BLOCK)
        return self.side

    def _read(self, prompt: TokenArray, start: int) -> ByHand:
        assert not self.readings or self.readings[-1].ended
        self.readings.append(ByHand(prompt, start, self.kv.block_size))
        return self.readings[-1]

    def _lend(self, lent: bool) -> None:
        assert lent is not self.lent
        self.lent = lent

    def step(self) -> list[Output]:
        if isinstance(self.memory, LazyStreams):
            self.memory.pending = False
        outputs = super().step()
        if isinstance(self.memory, LazyStreams):
            self.memory.pending = False
        return outputs

    def work(self) -> None:
        if self.readings:
            self.readings[-1].work()

    def finish(self, limit: int = 1000) -> list[Output]:
        outputs: list[Output] = []
        for _ in range(limit):
            if not self.core.has_work:
                return outputs
            self.work()
            outputs += self.step()
        raise AssertionError("the scheduler makes no progress")


def words(n: int, seed: int = 0) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(1, 50, n)]


def greedy(prompt: list[int], n: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(n):
        tokens.append(next_token(tokens))
    return tokens


@pytest.fixture(params=[False, True], ids=["unified", "streams"])
def engine(request: pytest.FixtureRequest) -> SideEngine:
    return SideEngine(streams=request.param)


def streaming(engine: SideEngine, max_tokens: int = 60) -> Sequence:
    [stream] = engine.add(words(5, seed=9), max_tokens)
    while not stream.decoding:
        engine.step()
    return stream


def test_a_long_prompt_is_read_beside_a_stream(engine: SideEngine) -> None:
    stream = streaming(engine)
    [newcomer] = engine.add(words(45), 4)
    engine.step()
    assert engine.side.sequence is newcomer
    assert engine.lent
    out = stream.num_output
    for _ in range(5):
        engine.step()
    assert stream.num_output == out + 5
    assert newcomer.num_computed == 0
    engine.finish()
    assert newcomer.token_ids == greedy(words(45), 4)
    assert stream.token_ids == greedy(words(5, seed=9), 60)
    assert not engine.lent
    assert newcomer.num_cached == 0
    assert engine.core.stats().prompt_tokens == 50


def test_what_is_cached_of_a_prompt_is_handed_over(engine: SideEngine) -> None:
    engine.add(words(30), 1)
    engine.finish()
    streaming(engine)
    [newcomer] = engine.add(words(30) + words(40, seed=1), 4)
    engine.finish()
    assert newcomer.num_cached == 30
    assert len(engine.readings) == 1
    assert newcomer.token_ids == greedy(words(30) + words(40, seed=1), 4)


def test_without_a_stream_a_prompt_is_read_in_steps(engine: SideEngine) -> None:
    engine.add(words(45), 4)
    engine.finish()
    assert not engine.readings


def test_a_stream_of_the_background_does_not_matter(engine: SideEngine) -> None:
    [stream] = engine.add(words(5, seed=9), 30, tier=ServiceTier.FLEX)
    while not stream.decoding:
        engine.step()
    engine.add(words(45), 4)
    engine.finish()
    assert not engine.readings


def test_when_the_stream_ends_the_steps_go_on_with_the_prompt(engine: SideEngine) -> None:
    stream = streaming(engine, 8)
    [newcomer] = engine.add(words(45), 4)
    engine.step()
    engine.work()
    while not stream.finish_reason:
        engine.step()
    engine.step()
    assert engine.readings[0].retired
    engine.step()
    assert not engine.side.busy
    assert newcomer.num_computed > 0
    engine.finish()
    assert newcomer.token_ids == greedy(words(45), 4)


def test_a_short_prompt_passes_by(engine: SideEngine) -> None:
    streaming(engine)
    [long] = engine.add(words(45), 4)
    engine.step()
    assert engine.side.sequence is long
    [short] = engine.add(words(BLOCK - 1, seed=2), 2)
    for _ in range(5):
        engine.step()
    assert short.finish_reason is FinishReason.LENGTH
    assert engine.side.sequence is long
    assert not engine.readings[0].retired
    engine.finish()


def test_a_shorter_prompt_that_suits_takes_the_place(engine: SideEngine) -> None:
    streaming(engine)
    [long] = engine.add(words(60), 4)
    engine.step()
    engine.work()
    [shorter] = engine.add(words(20, seed=2), 2)
    for _ in range(3):
        engine.step()
    assert engine.readings[0].retired
    assert engine.side.sequence is shorter
    engine.finish()
    assert [each.token_ids for each in (long, shorter)] == [
        greedy(words(60), 4),
        greedy(words(20, seed=2), 2),
    ]


def test_an_abort_cancels(engine: SideEngine) -> None:
    streaming(engine)
    [newcomer] = engine.add(words(45), 4)
    engine.step()
    engine.work()
    engine.core.abort(newcomer.id)
    assert engine.readings[0].cancelled
    engine.step()
    assert not engine.side.busy
    assert not engine.lent
    engine.finish()


def test_after_a_failure_the_prompt_is_read_in_steps(engine: SideEngine) -> None:
    streaming(engine)
    [newcomer] = engine.add(words(45), 4)
    engine.step()
    engine.readings[0].fails = True
    engine.finish()
    assert len(engine.readings) == 1
    assert newcomer.token_ids == greedy(words(45), 4)
    streaming(engine)
    engine.add(words(45, seed=3), 4)
    engine.finish()
    assert len(engine.readings) == 2


def test_the_end_of_the_engine_stops_it(engine: SideEngine) -> None:
    streaming(engine)
    engine.add(words(45), 4)
    engine.step()
    engine.core.save_all(1)
    assert engine.readings[0].cancelled


def test_without_a_stream_others_do_not_wait_for_it(engine: SideEngine) -> None:
    stream = streaming(engine, 8)
    engine.add(words(45), 4)
    engine.step()
    while not stream.finish_reason:
        engine.step()
    [longer] = engine.add(words(60, seed=2), 4)
    engine.step()
    assert longer.num_computed > 0
    engine.finish()


def test_what_can_not_be_taken_is_given_up() -> None:
    engine = SideEngine(streams=True)
    stream = streaming(engine, 8)
    [newcomer] = engine.add(words(45), 4)
    engine.step()
    while not stream.finish_reason:
        engine.step()
    engine.kv.settled = False  # a copy for one that was aborted before its first step
    engine.step()
    assert engine.readings[0].cancelled
    engine.finish()
    assert newcomer.token_ids == greedy(words(45), 4)


class SideMachine(RuleBasedStateMachine):
    """Random requests, aborts and pauses, in a KV cache that is often full."""

    @initialize(streams=st.booleans(), n_cells=st.sampled_from([64, 200]))
    def begin(self, streams: bool, n_cells: int) -> None:
        self.engine = SideEngine(streams=streams, n_cells=n_cells)
        self.sequences: list[Sequence] = []

    @rule(
        shared=st.integers(0, 30),
        own=st.integers(1, 25),
        max_tokens=st.integers(1, 8),
        tier=st.sampled_from(ServiceTier),
        scored=st.booleans(),
        seed=st.integers(1, 3),
    )
    def ask(
        self, shared: int, own: int, max_tokens: int, tier: ServiceTier, scored: bool, seed: int
    ) -> None:
        prompt = words(shared) + words(own, seed)
        self.sequences += self.engine.add(prompt, max_tokens, tier=tier, scored=scored)

    @rule()
    def work(self) -> None:
        self.engine.work()

    @rule(n=st.integers(1, 6))
    def step(self, n: int) -> None:
        for _ in range(n):
            if self.engine.core.has_work:
                self.engine.step()

    @rule()
    def fail(self) -> None:
        if self.engine.side.busy:
            self.engine.readings[-1].fails = True

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        self.engine.core.abort(data.draw(st.sampled_from(self.sequences)).id)
        self.engine.scheduler.check_integrity()

    @precondition(lambda self: self.sequences)
    @rule(data=st.data(), paused=st.booleans())
    def pause(self, data: st.DataObject, paused: bool) -> None:
        self.engine.core.pause(data.draw(st.sampled_from(self.sequences)).id, paused)
        self.engine.scheduler.check_integrity()

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        for sequence in self.sequences:
            self.engine.core.pause(sequence.id, False)
        self.engine.finish()
        for sequence in self.sequences:
            prompt = sequence.token_ids[: sequence.num_prompt]
            whole = greedy(prompt, sequence.max_length - len(prompt))
            if sequence.finish_reason is FinishReason.ABORT:
                whole = whole[: len(sequence.token_ids)]
            assert sequence.token_ids == whole
        self.engine.step()
        assert not self.engine.side.busy
        assert not self.engine.lent


TestSideMachine = SideMachine.TestCase
TestSideMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
