from __future__ import annotations

from edge_llama.engine.kv.stream_prefix_cache import SHORTEST_COPY
from edge_llama.engine.protocol.request import ServiceTier
from tests.engine.schedule.scheduling import Engine, expected


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
