from __future__ import annotations

import timeit
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.schedule.cost_table import SIZES, CostTable, sizes_up_to
from edge_llama.settings.engine import StepCost


def test_nothing_is_known_at_first() -> None:
    assert CostTable().seconds(8, 0) is None


def test_a_time_is_the_median_of_the_last_samples() -> None:
    costs = CostTable()
    for seconds in (9.0, 0.3, 0.3, 0.2, 0.3, 9.0, 0.3, 0.3):
        costs.record(8, 100, seconds)
    assert costs.seconds(8, 100) == pytest.approx(0.3)


def test_one_slow_step_changes_nothing() -> None:
    costs = CostTable()
    for seconds in (0.1, 0.1, 0.1, 5.0):
        costs.record(1, 10, seconds)
    assert costs.seconds(1, 12) == pytest.approx(0.1)


def test_when_the_machine_slows_down_all_sizes_do() -> None:
    costs = CostTable()
    costs.record(64, 0, 0.5)
    for _ in range(20):
        costs.record(1, 0, 0.1)
    for _ in range(3):
        costs.record(1, 0, 0.2)
    assert costs.seconds(64, 0) == pytest.approx(1.0)
    assert costs.seconds(1, 0) == pytest.approx(0.2)
    for _ in range(3):
        costs.record(1, 0, 0.1)
    assert costs.seconds(64, 0) == pytest.approx(0.5)


def test_a_context_that_grows_is_no_machine_that_slows_down() -> None:
    costs = CostTable([StepCost(64, 256, 0.3)])

    def cost(depth: int) -> float:
        return 0.2 + 0.0002 * depth

    for depth in range(40, 4000, 40):
        costs.record(32, depth, cost(depth))
    assert costs.seconds(64, 256) == pytest.approx(0.3)
    assert costs.seconds(32, 4000) == pytest.approx(cost(4000), rel=0.1)
    assert costs.seconds(32, 1024) == pytest.approx(cost(1024), rel=0.1)


def test_depths_are_told_apart_and_the_nearest_stands_in() -> None:
    costs = CostTable()
    costs.record(8, 400, 0.1)
    costs.record(8, 8000, 0.5)
    assert costs.seconds(8, 0) == 0.1
    assert costs.seconds(8, 100_000) == 0.5


def test_between_two_depths_a_time_is_interpolated() -> None:
    costs = CostTable()
    costs.record(8, 512, 0.1)
    costs.record(8, 2048, 0.4)
    assert costs.seconds(8, 1024) == pytest.approx(0.2)
    assert costs.seconds(8, 2048) == pytest.approx(0.4)


def test_deeper_than_it_was_measured_a_size_grows_as_a_similar_one_did() -> None:
    costs = CostTable()
    costs.record(64, 300, 0.4)
    for depth, seconds in ((300, 0.3), (700, 0.36), (2000, 0.6)):
        costs.record(48, depth, seconds)
    costs.record(1, 2000, 0.03)
    assert costs.seconds(64, 300) == pytest.approx(0.4)
    assert costs.seconds(64, 2048) == pytest.approx(0.8)
    assert costs.seconds(64, 724) == pytest.approx(0.48)
    assert costs.seconds(1, 4096) == pytest.approx(0.03)


def test_an_unknown_size_may_be_as_fast_as_a_larger_one() -> None:
    costs = CostTable([StepCost(512, 0, 2.56)])
    assert costs.curve([64], 0, penalty=1.0)[64] == pytest.approx(0.32)


def test_an_unknown_size_is_bounded_by_its_neighbours() -> None:
    costs = CostTable()
    costs.record(8, 0, 0.2)
    assert costs.seconds(16, 0) == pytest.approx(0.4)
    costs.record(512, 0, 2.56)
    assert costs.seconds(16, 0) == pytest.approx(0.2)
    assert costs.seconds(64, 0) == pytest.approx(1.5 * 0.32)
    assert costs.seconds(4, 0) == pytest.approx(1.5 * 0.1)


EARLIER = (StepCost(1, 10, 0.1), StepCost(64, 70, 0.5), StepCost(64, 3000, 0.9))


def test_an_earlier_run_tells_what_this_one_has_not_measured() -> None:
    costs = CostTable(EARLIER)
    assert costs.seconds(64, 0) == 0.5
    assert costs.seconds(64, 5000) == 0.9
    assert costs.seconds(1, 5000) == pytest.approx(0.1 * 0.9 / 0.5)


def test_what_is_measured_counts_more_than_an_earlier_run() -> None:
    costs = CostTable(EARLIER)
    for _ in range(5):
        costs.record(64, 0, 2.0)
    assert costs.seconds(64, 0) == pytest.approx(2.0)


def test_an_earlier_run_is_taken_at_the_pace_of_this_one() -> None:
    costs = CostTable(EARLIER)
    for _ in range(3):
        costs.record(1, 0, 0.2)
    assert costs.seconds(64, 0) == pytest.approx(1.0)


@given(
    st.dictionaries(st.sampled_from(SIZES), st.floats(0.001, 10), min_size=1),
    st.integers(1, 8192),
    st.integers(0, 1 << 20),
)
def test_a_time_is_known_for_every_size_once_one_was_measured(
    times: dict[int, float], size: int, depth: int
) -> None:
    costs = CostTable()
    for measured, seconds in times.items():
        costs.record(measured, 0, seconds)
    found = costs.seconds(size, depth)
    assert found is not None
    assert found > 0
    if size in times:
        assert found == times[size]


DEPTHS = [256 * 2**doubled for doubled in range(6)]


def filled(sizes: Iterable[int]) -> CostTable:
    costs = CostTable()
    for size in sizes:
        for depth in DEPTHS:
            for _ in range(6):
                costs.record(size, depth, 0.01 * size)
    return costs


def test_a_table_of_all_sizes_takes_little_memory() -> None:
    sizes = range(1, 201)
    tracemalloc.start()
    costs = filled(sizes)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert costs.seconds(200, 256) == pytest.approx(2.0)
    assert taken < 400 * len(sizes) * len(DEPTHS)


def test_a_table_of_all_sizes_is_read_as_fast_as_one_of_few() -> None:
    few = _seconds_to_read(filled(sizes_up_to(512)))
    assert _seconds_to_read(filled(range(1, 513))) < 3 * few


def _seconds_to_read(costs: CostTable) -> float:
    """The shortest of several times."""
    sizes = sizes_up_to(512)
    return min(timeit.repeat(lambda: costs.curve(sizes, 3000), number=1, repeat=20))


def test_sizes_end_with_the_largest_step() -> None:
    assert sizes_up_to(20)[-3:] == (12, 16, 20)
    assert sizes_up_to(21)[-2:] == (20, 21)
    assert sizes_up_to(100_000)[-1] == 100_000
