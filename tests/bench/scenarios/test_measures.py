from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from edge_llama.bench.load.stream import Stream
from edge_llama.bench.scenarios.measures import (
    MEDIAN_TTFT,
    P99_GAP,
    Measure,
    churn_measures,
    is_warm,
    newcomer_measures,
    prefix_measures,
)


def stream(start: float, *times: float, cached: int | None = 0, prompt: int = 100) -> Stream:
    return Stream(prompt, cached, len(times), start, times)


def read(measures: Sequence[Measure], run: Sequence[Stream]) -> dict[str, float]:
    return {measure.quantity.key: measure(run) for measure in measures}


def test_the_gaps_of_all_clients_count() -> None:
    many = stream(0, *(0.1 * number for number in range(100)))
    one = stream(0, 1.0, 3.0)
    assert P99_GAP([many, one]) == pytest.approx(0.1)
    assert P99_GAP([one]) == pytest.approx(2.0)
    assert math.isnan(P99_GAP([stream(0, 1.0)]))
    assert MEDIAN_TTFT([stream(0, 1.0), stream(1, 4.0), stream(2, 4.0)]) == pytest.approx(2.0)


def test_a_newcomer_holds_up_the_stream() -> None:
    alone = stream(0, 2.0, 2.1)
    running = stream(3, 3.1, 3.2, 3.3, 3.9, 4.4, 9.4)
    newcomer = stream(3.35, 6.35, 6.5)
    figures = read(newcomer_measures(), [alone, running, newcomer])
    assert figures["solo_gap"] == pytest.approx(0.1)
    assert figures["longest_gap"] == pytest.approx(5.0)
    assert figures["longest_gap_ratio"] == pytest.approx(50)
    assert figures["ttft_alone"] == pytest.approx(2.0)
    assert figures["ttft"] == pytest.approx(3.0)
    assert figures["ttft_ratio"] == pytest.approx(1.5)


def test_what_came_after_the_newcomers_first_token_is_not_its_fault() -> None:
    running = stream(3, 3.1, 3.2, 3.9, 4.2, 9.9)
    figures = read(newcomer_measures(), [stream(0, 1.0), running, stream(3.3, 4.1)])
    assert figures["longest_gap"] == pytest.approx(0.7)


def test_a_stream_that_was_over_tells_nothing() -> None:
    figures = read(newcomer_measures(), [stream(0, 1.0), stream(1, 1.1), stream(2, 3.0)])
    assert math.isnan(figures["longest_gap"])
    assert math.isnan(figures["longest_gap_ratio"])
    assert figures["ttft_ratio"] == pytest.approx(1.0)


def test_the_second_question_is_held_against_one_alone() -> None:
    run = [stream(0, 0.2), stream(1, 9.0), stream(10, 10.3, cached=860)]
    figures = read(prefix_measures(), run)
    assert figures["cold_ttft"] == pytest.approx(8)
    assert figures["warm_ratio"] == pytest.approx(1.5)
    assert figures["cached_tokens"] == 860
    assert math.isnan(
        read(prefix_measures(), [*run[:2], stream(10, 11, cached=None)])["cached_tokens"]
    )


def test_turns_are_counted_and_timed() -> None:
    first = [stream(0, 1.0), stream(1, 3.0)]
    second = [stream(3, 3.1, cached=90, prompt=120), stream(4, 6.0, cached=20, prompt=120)]
    figures = read(churn_measures(2), first + second)
    assert figures["warm_share"] == pytest.approx(0.5)
    assert figures["warm_ttft"] == pytest.approx((0.1 + 2.0) / 2)
    assert figures["cold_ttft"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("cached", "ttft", "warm"),
    [(75, 9.0, True), (74, 0.1, False), (None, 0.5, True), (None, 0.6, False)],
)
def test_where_the_server_does_not_tell_time_does(
    cached: int | None, ttft: float, warm: bool
) -> None:
    assert is_warm(stream(0, ttft, cached=cached), stream(0, 1.0)) is warm
