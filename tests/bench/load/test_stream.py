from __future__ import annotations

import pytest

from edge_llama.bench.load.stream import (
    Stream,
    decode_rate,
    prefill_rate,
    throughput,
    together_rate,
)


def stream(
    *times: float, prompt: int = 100, cached: int | None = 0, tokens: int = 11, start: float = 0.0
) -> Stream:
    return Stream(prompt, cached, tokens, start, times)


def test_time_to_first_token_counts_from_the_request() -> None:
    assert stream(3.0, 4.0, start=2.5).ttft == pytest.approx(0.5)
    assert stream(3.0, 4.0).end == 4.0


def test_rates() -> None:
    assert decode_rate(stream(1.0, 2.0, 3.0)) == pytest.approx(10 / 2)
    assert prefill_rate(stream(3.0, cached=10, start=1.0)) == pytest.approx(90 / 2)
    assert prefill_rate(stream(2.0, cached=None)) == pytest.approx(100 / 2)
    both = [stream(2.0, 5.0, start=1.0), stream(7.0, tokens=21, start=2.0)]
    assert throughput(both) == pytest.approx(32 / 6)
    assert decode_rate(stream(1.0, tokens=1)) == 0


def test_gaps_are_those_that_were_waited_for_in_that_time() -> None:
    answer = stream(1.0, 2.0, 4.0, 4.5)
    assert answer.gaps() == [1.0, 2.0, 0.5]
    assert answer.gaps(since=3.0) == [2.0, 0.5]
    assert answer.gaps(until=2.0) == [1.0]
    assert answer.gaps(2.5, 3.0) == [2.0]


def test_the_rate_of_all_together_counts_while_all_get_tokens() -> None:
    early = Stream(10, 0, 4, 0.0, (1.0, 2.0, 3.0, 4.0))
    late = Stream(10, 0, 4, 0.0, (2.0, 3.0, 4.0, 5.0))
    assert together_rate([early, late]) == 4 / 2.0
    assert together_rate([early]) == decode_rate(early) == 1.0
    assert together_rate([early, Stream(10, 0, 1, 4.0, (6.0,))]) == 0.0
