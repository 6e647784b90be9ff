from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_llama.engine.binding import DecodeStatus
from edge_llama.engine.kv.prefix_cache import common_prefix
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.engine.sequence import Sequence, SequenceStatus
from tests.engine.schedule.scheduling import Engine, expected


class SchedulerMachine(RuleBasedStateMachine):
    """Random requests, aborts and interruptions; every output must be what the model says."""

    streams = False

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine(
            n_cells=64, parallel=3, batch_size=12, busy_prefill=5, cached=2, streams=self.streams
        )
        self.live: list[Sequence] = []

    @rule(
        prompt=st.lists(st.integers(1, 2), min_size=1, max_size=40),
        max_tokens=st.integers(1, 20),
        n=st.integers(1, 2),
        tier=st.sampled_from(ServiceTier),
        domain=st.sampled_from(["", "a"]),
        caller=st.sampled_from(["", "a"]),
    )
    def add(
        self,
        prompt: list[int],
        max_tokens: int,
        n: int,
        tier: ServiceTier,
        domain: str,
        caller: str,
    ) -> None:
        self.engine.now += 0.01
        self.live += self.engine.add(prompt, max_tokens, n, tier, domain, caller)

    @rule(n=st.integers(1, 64))
    def evict(self, n: int) -> None:
        self.engine.prefixes.evict(n)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        sequence = data.draw(st.sampled_from(self.live))
        self.engine.core.abort(sequence.id, data.draw(st.sampled_from([None, sequence.index])))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), paused=st.booleans())
    def pause(self, data: st.DataObject, paused: bool) -> None:
        self.engine.scheduler.pause(data.draw(st.sampled_from(self.live)).id, paused)

    @precondition(lambda self: self.engine.core.has_work)
    @rule(steps=st.integers(1, 8), interrupted=st.booleans())
    def step(self, steps: int, interrupted: bool) -> None:
        if interrupted:
            self.engine.runner.statuses = [DecodeStatus.ABORTED]
        for _ in range(steps):
            if self.engine.core.has_work:
                self.engine.step()

    @invariant()
    def outputs_are_right(self) -> None:
        self.engine.scheduler.check_integrity()
        for sequence in self.live:
            output = len(sequence.token_ids) - sequence.num_prompt
            prompt = sequence.token_ids[: sequence.num_prompt]
            assert sequence.token_ids == expected(prompt, output)
            known = [
                common_prefix(sequence.token_array()[: len(prompt) - 1], other.token_array())
                for other in self.live
                if other is not sequence and other.cache_domain == sequence.cache_domain
            ]
            assert (sequence.num_cached or 0) <= max(known, default=0)

    @invariant()
    def the_books_are_exact_at_rest(self) -> None:
        scheduler = self.engine.scheduler
        scheduler.observe()
        told = scheduler.stats()
        assert told.running + told.waiting == sum(
            sequence.status is not SequenceStatus.FINISHED for sequence in self.live
        )
        if not told.running:
            assert told.cells_used == told.cells_idle

    def teardown(self) -> None:
        for sequence in self.live:
            self.engine.scheduler.pause(sequence.id, False)
        self.engine.finish()
        assert all(sequence.status is SequenceStatus.FINISHED for sequence in self.live)
        assert len(self.engine.runner.released) == len(self.live)


class StreamsSchedulerMachine(SchedulerMachine):
    """The same with a stream for each sequence."""

    streams = True

    @invariant()
    def steps_are_in_the_order_of_streams(self) -> None:
        for spans in self.engine.runner.steps[-1:]:
            ids = [span.seq_id for span in spans]
            assert ids == sorted(ids)


TestSchedulerMachine = SchedulerMachine.TestCase
TestSchedulerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestStreamsSchedulerMachine = StreamsSchedulerMachine.TestCase
TestStreamsSchedulerMachine.settings = TestSchedulerMachine.settings
