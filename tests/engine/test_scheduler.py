from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_llama.config import FEW_SCORED_TOKENS, PROGRESS_TOKENS
from edge_llama.engine.binding import DecodeStatus
from edge_llama.engine.core import EngineCore
from edge_llama.engine.cost_table import CostTable
from edge_llama.engine.kv_cache import KVCache
from edge_llama.engine.messages import FinishReason, Output, ServiceTier
from edge_llama.engine.pace import Pace
from edge_llama.engine.prefix_cache import PrefixCache, common_prefix
from edge_llama.engine.radix_prefix_cache import IDLE_SHARE, RadixPrefixCache
from edge_llama.engine.sampling import SamplingParams
from edge_llama.engine.scheduler import SHARED_PREFILL, Sampled, Scheduler, Span
from edge_llama.engine.sequence import Sequence, SequenceStatus
from edge_llama.engine.stream_kv_cache import StreamKVCache
from edge_llama.engine.stream_prefix_cache import SHORTEST_COPY, StreamPrefixCache
from edge_llama.engine.unified_kv_cache import UnifiedKVCache
from tests.engine.fake_runner import EOG, FakeMemory, FakeRunner, FakeStreams, next_token


class FixedPace(Pace):
    """So many tokens of prompts beside those that decode."""

    def __init__(self, batch_size: int, busy_prefill: int) -> None:
        super().__init__(CostTable(), batch_size)
        self._most = batch_size
        self._busy_prefill = busy_prefill

    def step_size(self, decoding: int, depth: int) -> int:
        return min(self._most, decoding + self._busy_prefill) if decoding else self._most


class Engine:
    """An EngineCore over fakes."""

    def __init__(
        self,
        *,
        n_cells: int = 200,
        parallel: int = 2,
        batch_size: int = 16,
        busy_prefill: int = 4,
        cached: int = 3,
        streams: bool = False,
        scored_tokens: int = FEW_SCORED_TOKENS,
    ) -> None:
        self.now = 0.0
        self.memory = FakeStreams() if streams else FakeMemory()
        self.kv, self.prefixes = self.caches(n_cells, parallel, cached, streams)
        self.scheduler = Scheduler(
            self.kv,
            self.prefixes,
            eog_tokens={EOG},
            parallel=parallel,
            pace=FixedPace(batch_size, busy_prefill),
            scored_tokens=scored_tokens,
            clock=lambda: self.now,
        )
        self.runner = FakeRunner(self.memory)
        self.core = EngineCore(self.scheduler, self.runner, lambda token: bytes([token]))
        self.ids = itertools.count()

    def caches(
        self, n_cells: int, parallel: int, cached: int, streams: bool
    ) -> tuple[KVCache, PrefixCache]:
        if streams:
            kv = StreamKVCache(self.memory, n_cells * parallel, parallel)
            return kv, StreamPrefixCache(kv, cached)
        unified = UnifiedKVCache(self.memory, n_cells, parallel + cached)
        return unified, RadixPrefixCache(unified, cached)

    def add(
        self,
        prompt: list[int],
        max_tokens: int = 5,
        n: int = 1,
        tier: ServiceTier = ServiceTier.DEFAULT,
        domain: str = "",
        scored: bool = False,
    ) -> list[Sequence]:
        id = next(self.ids)
        sequences = [
            Sequence(
                id=id,
                index=i,
                token_ids=list(prompt),
                num_prompt=len(prompt),
                max_length=len(prompt) + max_tokens,
                sampling=SamplingParams(),
                tier=tier,
                cache_domain=domain,
                prompt_logprobs=0 if scored and i == 0 else None,
                arrived=self.now,
            )
            for i in range(n)
        ]
        self.core.add(sequences)
        return sequences

    @property
    def n_used(self) -> int:
        return self.kv.n_cells - self.kv.n_free

    def matched(self, prompt: list[int]) -> int:
        match = self.prefixes.match(np.array(prompt, np.int32))
        return match.length if match else 0

    def step(self) -> list[Output]:
        outputs = self.core.step()
        self.scheduler.check_integrity()
        return outputs

    def finish(self, limit: int = 1000) -> list[Output]:
        outputs: list[Output] = []
        while self.core.has_work:
            outputs += self.step()
            limit -= 1
            assert limit, "the scheduler makes no progress"
        return outputs


def expected(prompt: list[int], max_tokens: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(max_tokens):
        tokens.append(next_token(tokens))
    return tokens


def test_a_prompt_is_prefilled_in_chunks_and_then_decoded() -> None:
    engine = Engine(batch_size=4)
    [sequence] = engine.add(list(range(1, 11)), max_tokens=3)
    outputs = engine.finish()
    sizes = [[len(span.tokens) for span in step] for step in engine.runner.steps]
    assert sizes == [[4], [4], [2], [1], [1]]
    assert [span.n_outputs for step in engine.runner.steps for span in step] == [0, 0, 1, 1, 1]
    assert sequence.token_ids == expected(list(range(1, 11)), 3)
    assert [output.finish for output in outputs] == [None, None, FinishReason.LENGTH]
    assert outputs[-1].timings is not None
    assert engine.runner.released == [sequence]


def test_progress_is_told_until_the_first_token() -> None:
    engine = Engine(n_cells=600, parallel=1, batch_size=200)
    prompt = [1 + i % 49 for i in range(300)]
    engine.add(prompt[:2], max_tokens=2)
    [watched] = engine.add(prompt, max_tokens=2)
    watched.progress = True
    outputs = [output for output in engine.finish() if output.id == watched.id]
    told = [output.progress for output in outputs]
    assert [
        None if each is None else (each.ahead, each.processed, each.cached, each.total)
        for each in told
    ] == [
        (0, 0, 0, 300),
        (None, 2 + PROGRESS_TOKENS, 2, 300),
        (None, 2 + 2 * PROGRESS_TOKENS, 2, 300),
        (None, 300, 2, 300),
        None,
    ]
    assert [len(output.tokens) for output in outputs] == [0, 0, 0, 1, 1]


def scores(outputs: list[Output]) -> list[tuple[int, float]]:
    return [(each.token, each.logprob) for output in outputs for each in output.prompt_logprobs]


def all_scores(prompt: list[int]) -> list[tuple[int, float]]:
    return [(token, -float(i)) for i, token in enumerate(prompt) if i]


def test_a_scored_prompt_is_read_anew_in_bounded_steps() -> None:
    engine = Engine(n_cells=400, batch_size=200)
    prompt = [1 + i % 49 for i in range(70)]
    engine.add(prompt, max_tokens=2)
    engine.finish()
    done = len(engine.runner.steps)
    [sequence] = engine.add(prompt, max_tokens=2, scored=True)
    outputs = engine.finish()
    assert scores(outputs) == all_scores(prompt)
    steps = [[len(span.tokens) for span in step] for step in engine.runner.steps[done:]]
    assert steps == [[FEW_SCORED_TOKENS], [FEW_SCORED_TOKENS], [70 - 2 * FEW_SCORED_TOKENS], [1]]
    assert sequence.num_cached == 0
    assert sequence.token_ids == expected(prompt, 2)


def test_two_scored_prompts_share_a_step() -> None:
    engine = Engine(batch_size=200)
    engine.add([1] * 20, scored=True)
    engine.add([2] * 20, scored=True)
    engine.step()
    assert [len(span.tokens) for span in engine.runner.steps[0]] == [20, FEW_SCORED_TOKENS - 20]


def test_scored_prompts_leave_running_streams_their_pace() -> None:
    engine = Engine(n_cells=800, batch_size=200, busy_prefill=200, scored_tokens=100)
    engine.add([1, 2, 3], max_tokens=2)
    engine.step()
    engine.add([1 + i % 49 for i in range(300)], scored=True)
    engine.step()
    engine.step()
    sizes = [[len(span.tokens) for span in step] for step in engine.runner.steps]
    assert sizes[1:] == [[1, FEW_SCORED_TOKENS], [100]]


def test_a_preempted_prompt_is_scored_once() -> None:
    engine = Engine(n_cells=100, parallel=2, batch_size=8, cached=0)
    prompt = [1 + i for i in range(40)]
    engine.add([5] * 30, max_tokens=60)
    engine.add(prompt, max_tokens=1, scored=True)
    outputs = engine.finish()
    assert scores(outputs) == all_scores(prompt)


def test_without_output_only_the_prompt_is_read() -> None:
    engine = Engine()
    [sequence] = engine.add([1, 2, 3], max_tokens=0, scored=True)
    [output] = engine.finish()
    assert (output.tokens, output.finish) == ((), FinishReason.LENGTH)
    assert scores([output]) == all_scores([1, 2, 3])
    assert sequence.token_ids == [1, 2, 3]
    engine.add([1, 2, 3, 4], max_tokens=0)
    [output] = engine.finish()
    assert (output.tokens, output.cached_tokens) == ((), 3)


def test_choices_of_a_scored_prompt_share_it() -> None:
    engine = Engine(n_cells=400, batch_size=200)
    prompt = [1 + i % 49 for i in range(100)]
    first, second = engine.add(prompt, max_tokens=2, n=2, scored=True)
    outputs = engine.finish()
    assert scores(outputs) == all_scores(prompt)
    assert first.num_cached == 0
    assert second.num_cached == 3 * FEW_SCORED_TOKENS


def test_decode_goes_first_and_prefill_gets_the_rest() -> None:
    engine = Engine(batch_size=16, busy_prefill=4)
    engine.add([1, 2, 3], max_tokens=10)
    engine.step()
    engine.add(list(range(1, 12)), max_tokens=1)
    engine.step()
    assert [len(span.tokens) for span in engine.runner.steps[-1]] == [1, 4]


def test_the_shortest_rest_of_a_prompt_is_read_first() -> None:
    engine = Engine(parallel=3, batch_size=16)
    [long] = engine.add(list(range(1, 41)), max_tokens=1)
    engine.step()
    [short] = engine.add([2] * 10, max_tokens=1)
    engine.step()
    read = {span.sequence: len(span.tokens) for span in engine.runner.steps[-1]}
    assert read == {short: 10, long: 6}


def test_a_long_prompt_does_not_starve() -> None:
    engine = Engine(n_cells=1000, parallel=3, batch_size=10)
    [long] = engine.add(list(range(1, 41)), max_tokens=1)
    reads = 0
    for number in range(30):
        engine.now += 0.05
        engine.add([number, *[3] * 9], max_tokens=1)
        engine.step()
        reads += any(span.sequence is long for span in engine.runner.steps[-1])
    assert reads == 4
    assert long.finish_reason is FinishReason.LENGTH


def test_flex_waits_behind_all_others_and_is_read_last() -> None:
    engine = Engine(parallel=1)
    [running] = engine.add([1, 1], max_tokens=3)
    engine.step()
    [flex] = engine.add([2, 2], tier=ServiceTier.FLEX)
    [later] = engine.add([3, 3])
    assert list(engine.scheduler.waiting) == [later, flex]
    engine.finish()
    assert [s.finish_reason for s in (running, flex, later)] == [FinishReason.LENGTH] * 3

    engine = Engine(parallel=2, batch_size=8)
    [flex] = engine.add([2, 2], tier=ServiceTier.FLEX)
    [other] = engine.add([3] * 8)
    engine.step()
    assert [span.sequence for span in engine.runner.steps[-1]] == [other]


def test_flex_gives_up_its_place_and_resumes() -> None:
    engine = Engine(parallel=1)
    [flex] = engine.add([2, 2], max_tokens=9, tier=ServiceTier.FLEX)
    engine.step()
    engine.step()
    [other] = engine.add([3, 3], max_tokens=2)
    engine.step()
    assert engine.scheduler.running == [other]
    assert list(engine.scheduler.waiting) == [flex]
    engine.finish()
    assert flex.token_ids == expected([2, 2], 9)
    assert other.token_ids == expected([3, 3], 2)


def test_flex_streams_do_not_slow_down_prompts() -> None:
    engine = Engine(parallel=2, batch_size=16, busy_prefill=4)
    engine.add([2, 2], max_tokens=9, tier=ServiceTier.FLEX)
    engine.step()
    engine.add([3] * 12, max_tokens=2)
    engine.step()
    assert [len(span.tokens) for span in engine.runner.steps[-1]] == [1, 12]


def test_first_come_first_served_up_to_parallel() -> None:
    engine = Engine(parallel=2)
    first, second, third = (engine.add([i, i, i], max_tokens=4)[0] for i in (1, 2, 3))
    engine.step()
    assert engine.scheduler.running == [first, second]
    assert list(engine.scheduler.waiting) == [third]
    engine.finish()
    assert third.status is SequenceStatus.FINISHED


def test_an_end_of_generation_token_ends_with_stop() -> None:
    engine = Engine()
    [sequence] = engine.add([1, 2])
    spans = engine.scheduler.schedule()
    engine.memory.tokens[sequence.seq_id] = [1, 2]
    [progress] = engine.scheduler.postprocess(spans, [Sampled([EOG])])
    assert progress.tokens == [EOG]
    assert sequence.finish_reason is FinishReason.STOP
    engine.scheduler.check_integrity()


def test_several_outputs_keep_accepted_drafts_and_drop_the_rest() -> None:
    engine = Engine()
    [sequence] = engine.add([1, 2], max_tokens=9)
    engine.step()
    last = sequence.token_ids[-1]
    engine.kv.extend(sequence.seq_id, 4)
    engine.memory.tokens[sequence.seq_id] += [last, 7, 8, 9]
    span = Span(sequence, 2, [last, 7, 8, 9], n_outputs=4, seq_id=sequence.seq_id)
    engine.scheduler.postprocess([span], [Sampled([7, 8, 5])])
    assert sequence.token_ids == [1, 2, last, 7, 8, 5]
    assert sequence.num_computed == 5
    assert engine.memory.tokens[sequence.seq_id] == [1, 2, last, 7, 8]
    engine.scheduler.check_integrity()


def test_an_end_within_several_outputs_drops_what_follows() -> None:
    engine = Engine()
    [sequence] = engine.add([1, 2], max_tokens=9)
    engine.step()
    last = sequence.token_ids[-1]
    engine.kv.extend(sequence.seq_id, 3)
    span = Span(sequence, 2, [last, EOG, 8], n_outputs=3, seq_id=sequence.seq_id)
    [progress] = engine.scheduler.postprocess([span], [Sampled([EOG, 8, 5])])
    assert progress.tokens == [EOG]
    assert sequence.finish_reason is FinishReason.STOP


def test_the_next_turn_prefills_only_what_is_new() -> None:
    engine = Engine()
    [first] = engine.add([1, 2, 3, 4], max_tokens=3)
    engine.finish()
    prompt = [*first.token_ids, 9, 9]
    [second] = engine.add(prompt, max_tokens=2)
    engine.finish()
    # The last output was sampled but never computed.
    assert second.num_cached == len(first.token_ids) - 1
    assert second.token_ids == expected(prompt, 2)


def test_another_branch_shares_cells_and_keeps_the_first() -> None:
    engine = Engine()
    system = list(range(1, 9))
    engine.add([*system, 20], max_tokens=2)
    engine.finish()
    [other] = engine.add([*system, 30], max_tokens=2)
    engine.finish()
    [again] = engine.add([*system, 20], max_tokens=2)
    engine.finish()
    assert other.num_cached == 8
    assert again.num_cached == 8
    assert engine.n_used < 3 * 9


def test_a_history_that_ends_differently_is_reused_up_to_there() -> None:
    engine = Engine()
    [first] = engine.add([1] * 20, max_tokens=10)
    engine.finish()
    prompt = [*first.token_ids[:25], 49, 48, 47]
    [second] = engine.add(prompt, max_tokens=2)
    engine.finish()
    assert second.num_cached == 25
    [again] = engine.add([*first.token_ids, 3], max_tokens=2)
    engine.finish()
    assert again.num_cached == len(first.token_ids) - 1
    assert again.token_ids == expected([*first.token_ids, 3], 2)


def test_users_with_one_system_prompt_compute_and_hold_it_once() -> None:
    engine = Engine(n_cells=1000, parallel=4, batch_size=32, busy_prefill=32, cached=8)
    system = [7] * 100
    users = [engine.add([*system, user], max_tokens=3)[0] for user in range(1, 9)]
    engine.finish()
    computed = sum(len(span.tokens) for step in engine.runner.steps for span in step)
    assert computed <= 100 + 8 * 3 + 3 * SHARED_PREFILL
    assert engine.n_used == 100 + 8 * 3
    assert [user.num_cached for user in users[4:]] == [100] * 4


def test_domains_share_neither_finished_nor_running_prompts() -> None:
    engine = Engine(parallel=3, batch_size=64, busy_prefill=64, n_cells=400)
    prompt = [4] * 40
    [first] = engine.add(prompt, 5, domain="a")
    engine.step()
    [other], [same] = engine.add(prompt, 5, domain="b"), engine.add(prompt, 5, domain="a")
    engine.step()
    assert (other.num_cached, same.num_cached) == (0, 39)
    engine.finish()
    [late] = engine.add(prompt, 5, domain="c")
    engine.finish()
    assert late.num_cached == 0
    assert {tuple(s.token_ids) for s in (first, other, same, late)} == {tuple(expected(prompt, 5))}


def test_a_prefix_in_use_is_not_evicted_for_others() -> None:
    engine = Engine(n_cells=200, parallel=2, cached=4)
    engine.add([5] * 60, max_tokens=1)
    engine.finish()
    [using] = engine.add([5] * 60 + [6], max_tokens=40)
    engine.step()
    engine.add([7] * 60, max_tokens=40)
    engine.finish()
    [again] = engine.add([5] * 60 + [8], max_tokens=1)
    engine.finish()
    assert using.token_ids == expected([5] * 60 + [6], 40)
    assert again.num_cached == 60


def test_pressure_cuts_the_oldest_prefix_and_preempts_nobody() -> None:
    engine = Engine(n_cells=300, parallel=1, cached=4)
    engine.add([1] * 140, max_tokens=1)
    engine.finish()
    engine.add([2] * 100, max_tokens=30)
    engine.finish()
    [long] = engine.add([3] * 100, max_tokens=10)
    while engine.core.has_work:
        engine.step()
        assert not engine.scheduler.waiting
    assert long.token_ids == expected([3] * 100, 10)
    assert engine.matched([2] * 100) == 100
    assert 0 < engine.matched([1] * 140) < 140


def test_idle_prefixes_give_way_when_a_sequence_starts() -> None:
    engine = Engine(n_cells=400, parallel=1, batch_size=64, cached=4)
    engine.add([1] * 150, max_tokens=1)
    engine.finish()
    engine.add([2] * 150, max_tokens=1)
    engine.finish()
    assert engine.n_used == 300
    [third] = engine.add([3, 3], max_tokens=1)
    engine.step()
    assert engine.n_used == 400 * IDLE_SHARE + 2
    assert third.finish_reason is FinishReason.LENGTH
    [solo] = engine.add([2] * 151, max_tokens=1)
    engine.finish()
    assert solo.num_cached == 150


def test_a_long_conversation_that_goes_on_does_not_displace_others() -> None:
    engine = Engine(n_cells=400, parallel=1, batch_size=64, cached=4)
    engine.add([2] * 150, max_tokens=1)
    engine.finish()
    engine.add([1] * 220, max_tokens=1)
    engine.finish()
    engine.add([1] * 221, max_tokens=1)
    engine.finish()
    assert (engine.matched([1] * 221), engine.matched([2] * 150)) == (221, 150)


Requests = st.lists(
    st.tuples(
        st.lists(st.integers(1, 2), min_size=1, max_size=40),
        st.integers(1, 10),
        st.sampled_from(["", "a"]),
    ),
    max_size=12,
)


@given(Requests)
@settings(deadline=None)
def test_cached_tokens_are_exact(requests: list[tuple[list[int], int, str]]) -> None:
    engine = Engine(n_cells=4000, cached=20)
    computed: dict[str, set[tuple[int, ...]]] = {"": set(), "a": set()}
    for prompt, max_tokens, domain in requests:
        [sequence] = engine.add(prompt, max_tokens, domain=domain)
        engine.finish()
        prefixes = [tuple(prompt[:length]) for length in range(1, len(prompt))]
        assert sequence.num_cached == sum(each in computed[domain] for each in prefixes)
        tokens = sequence.token_ids
        computed[domain] |= {tuple(tokens[:length]) for length in range(1, len(tokens))}


def test_choices_share_one_prefill() -> None:
    engine = Engine(parallel=3, batch_size=64, busy_prefill=64)
    prompt = list(range(1, 41))
    sequences = engine.add(prompt, max_tokens=3, n=3)
    engine.finish()
    computed = sum(len(span.tokens) for step in engine.runner.steps for span in step)
    assert computed == 40 + 2 * 1 + 3 * 2
    assert {tuple(s.token_ids) for s in sequences} == {tuple(expected(prompt, 3))}
    assert [s.num_cached for s in sequences] == [0, 39, 39]


def test_pressure_evicts_then_preempts_the_youngest_which_resumes() -> None:
    engine = Engine(n_cells=160, parallel=2)
    old, young = engine.add([1] * 10, 100)[0], engine.add([2] * 10, 100)[0]
    states = set()
    while engine.core.has_work:
        engine.step()
        states.add((old.status, young.status))
    assert (SequenceStatus.RUNNING, SequenceStatus.WAITING) in states
    assert (SequenceStatus.WAITING, SequenceStatus.RUNNING) not in states
    assert old.token_ids == expected([1] * 10, 100)
    assert young.token_ids == expected([2] * 10, 100)
    assert young.num_cached == 0


def test_a_prompt_that_needs_the_whole_cache_cuts_what_it_matched() -> None:
    engine = Engine(n_cells=100)
    engine.add([5] * 60, max_tokens=30)
    engine.finish()
    prompt = [5] * 40 + [6] * 50
    [sequence] = engine.add(prompt, max_tokens=5)
    engine.finish()
    assert sequence.num_cached == 40
    assert sequence.token_ids == expected(prompt, 5)


def test_abort_frees_running_and_waiting_and_keeps_the_prefix() -> None:
    engine = Engine(parallel=1)
    [running], [waiting] = engine.add([1] * 10, 50), engine.add([2] * 10, 50)
    engine.step()
    assert [o.finish for o in engine.core.abort(running.id)] == [FinishReason.ABORT]
    assert [o.finish for o in engine.core.abort(waiting.id)] == [FinishReason.ABORT]
    assert engine.core.abort(waiting.id) == []
    assert not engine.core.has_work
    [retry] = engine.add([1] * 10, 1)
    engine.finish()
    assert retry.num_cached == 9
    assert set(engine.runner.released) == {running, waiting, retry}


def test_abort_of_one_choice_leaves_the_others() -> None:
    engine = Engine()
    first, second = engine.add([1] * 5, 5, n=2)
    engine.step()
    engine.core.abort(first.id, 0)
    engine.finish()
    assert first.finish_reason is FinishReason.ABORT
    assert second.finish_reason is FinishReason.LENGTH


def test_a_paused_request_gives_its_places_to_others_and_goes_on_where_it_was() -> None:
    engine = Engine(parallel=1)
    [paused], [other] = engine.add([1] * 10, 20), engine.add([2] * 10, 5)
    for _ in range(5):
        engine.step()
    engine.scheduler.pause(paused.id, True)
    engine.scheduler.pause(paused.id, True)
    computed = len(paused.token_ids)
    engine.finish()
    assert other.finish_reason is FinishReason.LENGTH
    assert len(paused.token_ids) == computed
    engine.scheduler.observe()
    assert engine.scheduler.stats().waiting == 1
    engine.scheduler.pause(paused.id, False)
    engine.finish()
    assert paused.token_ids == expected([1] * 10, 20)


def test_an_abort_ends_what_is_paused() -> None:
    engine = Engine(parallel=1)
    [paused], [waiting] = engine.add([1] * 10, 20), engine.add([2] * 10, 20)
    engine.step()
    for sequence in (paused, waiting):
        engine.scheduler.pause(sequence.id, True)
    assert not engine.core.has_work
    assert [o.finish for o in engine.core.abort(paused.id)] == [FinishReason.ABORT]
    engine.scheduler.abort_all()
    engine.scheduler.check_integrity()
    assert waiting.finish_reason is FinishReason.ABORT
    engine.scheduler.pause(waiting.id, False)
    assert not engine.core.has_work


def test_an_interrupted_step_is_undone_and_done_again() -> None:
    engine = Engine()
    [sequence] = engine.add([1, 2, 3], max_tokens=2)
    engine.runner.statuses = [DecodeStatus.ABORTED]
    assert engine.step() == []
    assert sequence.num_computed == 0
    engine.finish()
    assert sequence.token_ids == expected([1, 2, 3], 2)


def test_no_slot_drops_the_prefix_cache_and_then_preempts() -> None:
    engine = Engine()
    engine.add([9] * 5, 2)
    engine.finish()
    first, second = engine.add([1] * 5, 5)[0], engine.add([2] * 5, 5)[0]
    engine.runner.statuses = [DecodeStatus.NO_SLOT, DecodeStatus.NO_SLOT]
    engine.step()
    assert engine.scheduler.running == [first, second]
    engine.step()
    assert engine.scheduler.running == [first]
    engine.finish()
    assert first.token_ids == expected([1] * 5, 5)
    assert second.token_ids == expected([2] * 5, 5)


def test_only_a_step_of_one_request_alone_may_be_interrupted() -> None:
    engine = Engine()
    [first] = engine.add([1] * 8, max_tokens=3)
    engine.step()
    assert engine.core.prefilling == first.id
    engine.step()
    assert engine.core.prefilling is None
    engine.add([2] * 8)
    engine.step()
    assert len(engine.runner.steps[-1]) == 2
    assert engine.core.prefilling is None


def test_with_streams_a_conversation_stays_in_its_stream() -> None:
    engine = Engine(streams=True, parallel=2)
    [first] = engine.add([1, 2, 3, 4], max_tokens=3)
    engine.finish()
    prompt = [*first.token_ids, 9, 9]
    [second] = engine.add(prompt, max_tokens=2)
    engine.finish()
    assert second.num_cached == len(first.token_ids) - 1
    assert second.token_ids == expected(prompt, 2)
    assert engine.n_used == len(second.token_ids) - 1


def test_with_streams_a_branch_is_copied_and_keeps_what_it_left() -> None:
    engine = Engine(streams=True, parallel=3, n_cells=400, batch_size=64)
    system = [5] * 60
    engine.add([*system, *[6] * 100], max_tokens=2)
    engine.finish()
    [other] = engine.add([*system, 7], max_tokens=2)
    engine.finish()
    assert other.num_cached == 60
    assert engine.matched([*system, *[6] * 100]) == 160
    assert engine.n_used == 161 + 62


def test_with_streams_the_prefix_used_longest_ago_gives_its_stream() -> None:
    engine = Engine(streams=True, parallel=2, n_cells=400, batch_size=64)
    for token in (1, 2, 3):
        engine.add([token] * 100, max_tokens=1)
        engine.finish()
    assert [engine.matched([token] * 100) for token in (1, 2, 3)] == [0, 100, 100]
    # The oldest is what this one begins with: it is cut, since the other is used later.
    [branch] = engine.add([2] * 20 + [4] * 9, max_tokens=1)
    engine.finish()
    assert branch.num_cached == 20
    assert [engine.matched([token] * 100) for token in (2, 3)] == [20, 100]


def test_with_streams_what_runs_is_copied_and_stays_together() -> None:
    engine = Engine(streams=True, parallel=4, batch_size=64, busy_prefill=64)
    sequences = engine.add([8] * 40, max_tokens=30, n=3)
    for _ in range(4):
        engine.step()
    engine.core.abort(sequences[1].id, 1)
    engine.step()
    ids = [span.seq_id for span in engine.runner.steps[-1]]
    assert ids == [min(ids), min(ids) + 1]
    engine.finish()
    assert [s.num_cached for s in sequences] == [0, 39, 39]
    assert sequences[0].token_ids == sequences[2].token_ids == expected([8] * 40, 30)


def test_with_streams_a_beginning_too_short_to_copy_is_computed() -> None:
    engine = Engine(streams=True, parallel=2)
    engine.add([1] * (SHORTEST_COPY - 1) + [2] * 100, max_tokens=1)
    engine.finish()
    [other] = engine.add([1] * 40, max_tokens=1)
    engine.finish()
    assert other.num_cached == 0


def test_with_streams_each_request_may_be_as_long_as_the_context() -> None:
    engine = Engine(streams=True, parallel=3, n_cells=50)
    sequences = [engine.add([token] * 10, max_tokens=40)[0] for token in (1, 2, 3)]
    while engine.core.has_work:
        engine.step()
        assert not engine.scheduler.waiting
    for sequence in sequences:
        assert sequence.token_ids == expected(sequence.token_ids[:10], 40)


def test_with_streams_flex_resumes_where_it_was() -> None:
    engine = Engine(streams=True, parallel=2)
    [flex] = engine.add([2, 2], max_tokens=9, tier=ServiceTier.FLEX)
    [first] = engine.add([4, 4], max_tokens=3)
    engine.step()
    [second] = engine.add([3, 3], max_tokens=2)
    engine.step()
    assert engine.scheduler.running == [first, second]
    engine.finish()
    assert flex.token_ids == expected([2, 2], 9)


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
    )
    def add(
        self, prompt: list[int], max_tokens: int, n: int, tier: ServiceTier, domain: str
    ) -> None:
        self.engine.now += 0.01
        self.live += self.engine.add(prompt, max_tokens, n, tier, domain)

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
