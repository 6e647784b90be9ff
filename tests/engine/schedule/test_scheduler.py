from __future__ import annotations

from edge_llama.engine.binding import DecodeStatus
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.engine.schedule.scheduler import PROGRESS_TOKENS
from edge_llama.engine.sequence import SequenceStatus
from edge_llama.engine.span import Sampled, Span
from tests.engine.schedule.fake_runner import EOG
from tests.engine.schedule.scheduling import Engine, expected


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
    [watched] = engine.add(prompt, max_tokens=2, progress=True)
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


def test_what_has_long_been_in_the_queue_is_not_read_before_shorter_prompts() -> None:
    engine = Engine(n_cells=1000, parallel=2, batch_size=16)
    many = [engine.add([number] * 100, max_tokens=1)[0] for number in range(1, 9)]
    engine.now = 60.0
    while many[1].status is not SequenceStatus.FINISHED:
        engine.step()
    [short] = engine.add([20] * 10, max_tokens=1, caller="another")
    while short.status is not SequenceStatus.FINISHED:
        engine.step()
    assert many[4].status is SequenceStatus.WAITING


def test_places_are_shared_between_callers() -> None:
    engine = Engine(n_cells=2000, parallel=3, batch_size=16)
    many = [engine.add([number] * 300, max_tokens=1)[0] for number in range(1, 6)]
    engine.step()
    assert [each.status for each in many[:3]] == [SequenceStatus.RUNNING] * 3
    first, second = (engine.add([n] * 10, max_tokens=2, caller="another")[0] for n in (20, 21))
    engine.step()
    assert first.status is SequenceStatus.RUNNING
    assert second.status is SequenceStatus.WAITING
    assert [each.preempted for each in many] == [False, False, True, False, False]
    engine.finish()
    for sequence in (*many, first, second):
        n = sequence.num_prompt
        assert sequence.token_ids == expected(sequence.token_ids[:n], len(sequence.token_ids) - n)
        assert sequence.finish_reason is FinishReason.LENGTH


def test_who_has_no_more_places_does_not_wait_behind_one_that_finds_no_room() -> None:
    engine = Engine(n_cells=1000, parallel=4, batch_size=16)
    many = [engine.add([number] * 600, max_tokens=1)[0] for number in range(1, 3)]
    engine.step()
    first, second = (engine.add([n] * 10, max_tokens=9, caller="another")[0] for n in (20, 21))
    engine.step()
    assert many[1].status is SequenceStatus.WAITING
    assert first.status is SequenceStatus.RUNNING
    assert second.status is SequenceStatus.RUNNING
    [third] = engine.add([22] * 10, caller="another")
    engine.step()
    assert third.status is SequenceStatus.WAITING


def test_pressure_preempts_the_youngest_of_the_caller_with_the_most_places() -> None:
    engine = Engine(n_cells=460, parallel=3)
    many = [engine.add([number] * 20, max_tokens=200)[0] for number in (1, 2)]
    engine.step()
    [one] = engine.add([3] * 20, max_tokens=200, caller="another")
    while engine.core.has_work:
        engine.step()
    assert [each.preempted for each in (*many, one)] == [False, True, False]
    for number, sequence in enumerate((*many, one), 1):
        assert sequence.token_ids == expected([number] * 20, 200)


def test_nobody_gives_a_place_for_one_that_cannot_start() -> None:
    engine = Engine(n_cells=1000, parallel=2, batch_size=16)
    many = [engine.add([number] * 300, max_tokens=1)[0] for number in range(1, 3)]
    engine.step()
    [large] = engine.add([20] * 600, max_tokens=1, caller="another")
    engine.step()
    assert large.status is SequenceStatus.WAITING
    assert not any(each.preempted for each in many)


def test_a_stream_keeps_its_place() -> None:
    engine = Engine(n_cells=1000, parallel=2, batch_size=16)
    streams = [engine.add([number] * 5, max_tokens=50)[0] for number in range(1, 3)]
    engine.step()
    [other] = engine.add([20] * 10, max_tokens=1, caller="another")
    engine.step()
    assert other.status is SequenceStatus.WAITING
    assert [each.status for each in streams] == [SequenceStatus.RUNNING] * 2


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
    [(_, taken)] = engine.scheduler.postprocess(spans, [Sampled([EOG])])
    assert taken.tokens == [EOG]
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
    [(_, taken)] = engine.scheduler.postprocess([span], [Sampled([EOG, 8, 5])])
    assert taken.tokens == [EOG]
    assert sequence.finish_reason is FinishReason.STOP


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


def test_a_small_prompt_starts_though_a_long_one_will_want_all_the_room() -> None:
    engine = Engine(n_cells=4000, parallel=3, batch_size=64)
    [long] = engine.add([7] * 3900)
    engine.step()
    [small] = engine.add([9] * 10, max_tokens=3)
    for _ in range(5):
        engine.step()
    assert small.status is SequenceStatus.FINISHED
    assert not small.preempted
    assert long.num_pending > 3000


def test_a_small_prompt_that_had_to_give_way_waits_for_room() -> None:
    engine = Engine(n_cells=4000, parallel=3, batch_size=64)
    [long] = engine.add([7] * 3900, max_tokens=100)
    engine.step()
    [small] = engine.add([9] * 10, max_tokens=1000)
    while not small.preempted:
        assert long.status is SequenceStatus.RUNNING
        engine.step()
    while long.status is SequenceStatus.RUNNING:
        assert small.status is SequenceStatus.WAITING
        engine.step()
    assert len(long.token_ids) == 4000
    engine.finish()
    assert small.token_ids == expected([9] * 10, 1000)


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
