from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.schedule.running import IDLE_SHARE, SHARED_PREFILL
from tests.engine.schedule.scheduling import Engine, expected


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
    engine.add([5] * 48, max_tokens=1)
    engine.finish()
    [using] = engine.add([5] * 48 + [6], max_tokens=40)
    engine.step()
    engine.add([7] * 75, max_tokens=40)
    engine.finish()
    [again] = engine.add([5] * 48 + [8], max_tokens=1)
    engine.finish()
    assert using.token_ids == expected([5] * 48 + [6], 40)
    assert again.num_cached == 48


def test_pressure_cuts_the_oldest_prefix_and_preempts_nobody() -> None:
    engine = Engine(n_cells=1000, parallel=1, cached=4)
    engine.add([1] * 120, max_tokens=1)
    engine.finish()
    engine.add([2] * 100, max_tokens=30)
    engine.finish()
    [long] = engine.add([3] * 700, max_tokens=100)
    while engine.core.has_work:
        engine.step()
        assert not engine.scheduler.waiting
    assert long.token_ids == expected([3] * 700, 100)
    assert engine.matched([2] * 100) == 100
    assert 0 < engine.matched([1] * 120) < 120


def test_idle_prefixes_give_way_when_a_sequence_starts() -> None:
    engine = Engine(n_cells=400, parallel=1, batch_size=64, cached=4)
    engine.add([1] * 90, max_tokens=1)
    engine.finish()
    engine.add([2] * 90, max_tokens=1)
    engine.finish()
    assert engine.n_used == 180
    [third] = engine.add([3, 3], max_tokens=1)
    engine.step()
    assert engine.n_used == 400 * IDLE_SHARE + 2
    assert third.finish_reason is FinishReason.LENGTH
    [solo] = engine.add([2] * 91, max_tokens=1)
    engine.finish()
    assert solo.num_cached == 90


def test_a_long_conversation_that_goes_on_does_not_displace_others() -> None:
    engine = Engine(n_cells=700, parallel=1, batch_size=64, cached=4)
    engine.add([2] * 150, max_tokens=1)
    engine.finish()
    engine.add([1] * 400, max_tokens=1)
    engine.finish()
    engine.add([1] * 401, max_tokens=1)
    engine.finish()
    assert (engine.matched([1] * 401), engine.matched([2] * 150)) == (401, 150)


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


def test_a_prompt_that_needs_the_whole_cache_cuts_what_it_matched() -> None:
    engine = Engine(n_cells=100)
    engine.add([5] * 60, max_tokens=30)
    engine.finish()
    prompt = [5] * 40 + [6] * 50
    [sequence] = engine.add(prompt, max_tokens=5)
    engine.finish()
    assert sequence.num_cached == 40
    assert sequence.token_ids == expected(prompt, 5)
