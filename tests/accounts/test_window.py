from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_llama.accounts.window import WINDOW, MinuteWindow


def test_what_is_counted_is_forgotten_when_all_of_its_second_is_a_minute_old() -> None:
    window = MinuteWindow()
    window.add(3, 100.9)
    assert window.total(160.9) == 3
    assert window.total(160.99) == 3
    assert window.total(161.0) == 0


def test_it_tells_when_there_is_room() -> None:
    window = MinuteWindow([(100, 5), (110, 3)])
    assert window.seconds_until(2, 10, 115.0) == 0
    assert window.seconds_until(3, 10, 115.0) == 100 + 61 - 115
    assert window.seconds_until(10, 10, 115.0) == 110 + 61 - 115
    assert window.seconds_until(11, 10, 115.0) == WINDOW


def test_a_clock_that_is_set_back_does_not_give_more() -> None:
    window = MinuteWindow()
    window.add(3, 1000.0)
    window.add(3, 500.0)
    assert window.total(1030.0) == 6


@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 5)), max_size=60),
    st.integers(1, 12),
)
def test_no_sixty_seconds_have_more_than_the_limit(
    asked: list[tuple[float, int]], limit: int
) -> None:
    window, now = MinuteWindow(), 1000.0
    given: list[tuple[float, int]] = []
    for pause, count in asked:
        now += pause
        if not window.seconds_until(count, limit, now):
            window.add(count, now)
            given.append((now, count))
    for begin, _ in given:
        assert sum(count for at, count in given if begin <= at <= begin + WINDOW) <= limit


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5)), max_size=30))
def test_after_the_time_that_is_told_there_is_room(asked: list[tuple[float, int]]) -> None:
    window, now = MinuteWindow(), 1000.0
    for pause, count in asked:
        now += pause + window.seconds_until(count, 6, now + pause)
        assert window.seconds_until(count, 6, now) == 0
        window.add(count, now)
