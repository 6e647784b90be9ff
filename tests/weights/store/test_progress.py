from __future__ import annotations

import pytest

from edge_llama.weights.store.progress import Meter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    clock = Clock()
    meter = Meter(10_000, "a", clock=clock)
    meter.progress()
    for _ in range(20):
        clock.now += 1
        meter.fetched(100, "a")
        last = meter.progress()
    assert last.rate == pytest.approx(100)
    for _ in range(20):
        clock.now += 1
        meter.fetched(10, "a")
        last = meter.progress()
    assert last.rate == pytest.approx(10)
    assert last.eta == pytest.approx((10_000 - 2200) / 10)


def test_a_stall_has_no_end_in_sight() -> None:
    clock = Clock()
    meter = Meter(1000, clock=clock)
    meter.fetched(500, "a")
    for _ in range(30):
        clock.now += 1
        last = meter.progress()
    assert (last.done, last.rate, last.eta) == (500, 0, None)


def test_what_was_there_before_makes_it_no_faster() -> None:
    clock = Clock()
    meter = Meter(1000, clock=clock)
    meter.progress()
    clock.now += 1
    meter.present(900)
    first = meter.progress()
    clock.now += 1
    meter.fetched(50, "a")
    last = meter.progress()
    assert (first.done, first.rate) == (900, 0)
    assert (last.done, last.rate, last.eta) == (950, 50, 1)


def test_verifying_comes_after_the_last_byte() -> None:
    clock = Clock()
    meter = Meter(100, clock=clock)
    meter.fetched(60, "a")
    meter.verified(60, "a")
    assert (meter.progress().phase, meter.progress().done) == ("download", 60)
    meter.fetched(40, "b")
    assert (meter.progress().phase, meter.progress().done) == ("verify", 60)
    clock.now += 2
    meter.verified(40, "b")
    assert meter.progress().done == 100
    assert meter.progress().rate == 20
    assert meter.progress().file == "b"
