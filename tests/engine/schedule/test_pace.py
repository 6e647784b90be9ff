from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.schedule.cost_table import CostTable, sizes_up_to
from edge_llama.engine.schedule.pace import SHARE, SMALLEST_STEP, Pace
from edge_llama.llama_cpp_facts import ATTENDED, DEEP_STEP, most_at_once


def measured(cost: Callable[[int], float], batch_size: int = 512) -> CostTable:
    """A table of all sizes that `cost` (seconds by tokens) gives."""
    costs = CostTable()
    for size in sizes_up_to(batch_size):
        costs.record(size, 0, cost(size))
    return costs


def test_nobody_decodes_and_the_step_is_as_large_as_can_be() -> None:
    assert Pace(CostTable(), 512).step_size(0, 0) == 512


def test_of_nothing_known_it_begins_small() -> None:
    assert Pace(CostTable(), 512).step_size(2, 0) == 18


def test_a_staircase_is_climbed_where_it_reads_most() -> None:
    # llama.cpp with flash attention: 48 tokens cost more than 64.
    steps = {8: 0.22, 16: 0.27, 32: 0.52, 48: 0.70, 64: 0.48, 128: 0.9, 512: 3.6}
    costs = CostTable()
    costs.record(1, 0, 0.07)
    for size, seconds in steps.items():
        costs.record(size, 0, seconds)
    assert Pace(costs, 512, max_stall=0.62).step_size(1, 0) == 64
    assert Pace(costs, 512, max_stall=0.35).step_size(1, 0) == 16


def test_safety_does_not_cost_a_newcomer_much() -> None:
    def step_size(of_32: float, of_48: float) -> int:
        costs = measured(lambda size: {16: 0.21, 32: of_32, 48: of_48}.get(size, 9.0))
        return Pace(costs, 512, max_stall=0.5).step_size(1, 0)

    assert SHARE == 0.8
    assert step_size(of_32=0.38, of_48=0.39) == 48
    assert step_size(of_32=0.38, of_48=0.45) == 32
    assert step_size(of_32=0.42, of_48=0.45) == 48
    assert step_size(of_32=0.42, of_48=0.51) == 16


# The 8B on two cores: 8 to 16 tokens take five tokens' time, and only 5 keep the limit of four.
CRAWLING = {1: 0.18, 2: 0.29, 4: 0.45, 5: 0.56, 6: 0.67, 8: 0.90, 16: 0.92, 32: 1.42, 512: 16.0}


def of_sizes(seconds: dict[int, float]) -> CostTable:
    costs = CostTable()
    for size, each in seconds.items():
        costs.record(size, 0, each)
    return costs


def test_prompts_crawl_where_no_good_size_keeps_the_limit() -> None:
    pace = Pace(of_sizes(CRAWLING), 512)
    assert pace.step_size(1, 0) == 5
    assert pace.crawls(1, 0)
    # 15 tokens in 0.92 s are half of 512 in 16 s.
    assert not Pace(of_sizes(CRAWLING), 512, max_stall=1.0).crawls(1, 0)
    assert not Pace(of_sizes(CRAWLING | {16: 0.65}), 512).crawls(1, 0)


def test_prompts_do_not_crawl_before_that_was_measured() -> None:
    assert not Pace(CostTable(), 512).crawls(1, 0)
    assert not Pace(of_sizes({1: 0.03, 235: 1.2}), 512).crawls(1, 0)
    assert Pace(of_sizes({1: 0.03, 48: 0.9, 64: 0.9, 80: 0.9, 235: 1.2}), 512).crawls(1, 0)


def test_with_half_of_the_threads_times_are_kept_apart() -> None:
    pace = Pace(of_sizes(CRAWLING), 512, max_stall=1.0)
    assert pace.step_size(1, 0) == 16
    pace.halved = True
    assert pace.step_size(1, 0) == 4
    pace.record(6, 0, 0.7)
    assert pace.step_size(1, 0) == 6
    pace.halved = False
    assert pace.step_size(1, 0) == 16
    assert pace.costs.seconds(6, 0) == 0.67


def test_the_default_limit_grows_with_the_cost_of_decoding() -> None:
    fast = measured(lambda size: 0.005 * size)
    slow = measured(lambda size: 0.25 + 0.035 * size)
    assert Pace(fast, 512).step_size(1, 0) * 0.005 <= 0.5
    # 8B: a token costs 285 ms, so a step may cost four times that.
    assert 16 <= Pace(slow, 512).step_size(1, 0) <= 28
    # With more streams a step takes longer, but each of them is to keep its own pace.
    many = measured(lambda size: 0.03 * size, 64)
    assert Pace(many, 64).step_size(4, 0) * 0.03 <= 0.5
    none = measured(lambda size: 0.285 if size == 1 else 2.0)
    assert Pace(none, 512).step_size(1, 0) == 1 + SMALLEST_STEP


def test_prompts_go_on_where_every_step_breaks_the_limit() -> None:
    costs = measured(lambda size: 1.0 * size)
    assert Pace(costs, 512, max_stall=0.05).step_size(3, 0) == 11


@given(st.integers(1, 16), st.floats(0.05, 5), st.floats(0.001, 0.3), st.floats(0.0005, 0.05))
def test_a_step_keeps_the_limit_whenever_one_can(
    decoding: int, max_stall: float, base: float, each: float
) -> None:
    def cost(size: int) -> float:
        return base + each * size

    size = Pace(measured(cost), 512, max_stall).step_size(decoding, 0)
    assert decoding < size <= 512
    possible = [n for n in sizes_up_to(512) if n > decoding and cost(n) <= max_stall * SHARE]
    if possible:
        assert cost(size) <= max_stall
        assert size >= max(possible)


@pytest.mark.parametrize("batch_size", [17, 64, 300])
def test_a_step_is_never_larger_than_the_batch(batch_size: int) -> None:
    costs = measured(lambda size: 0.001, batch_size)
    assert Pace(costs, batch_size).step_size(16, 0) == batch_size


def test_deep_steps_are_small_where_scores_are_kept() -> None:
    pace = Pace(CostTable(), 512, keeps_scores=True)
    sizes = [pace.step_size(0, depth) for depth in (0, 512, 1024, 2048, 4096, 100_000)]
    assert sizes == [512, 512, 256, 128, 64, 64]
    assert Pace(CostTable(), 512).step_size(0, 100_000) == 512


@given(st.integers(0, 1 << 20))
def test_what_is_computed_at_once_is_bounded(depth: int) -> None:
    size = most_at_once(depth)
    assert size % DEEP_STEP == 0
    assert size == DEEP_STEP or size * depth <= ATTENDED
