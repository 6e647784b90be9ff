from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_llama.errors import InvalidValue
from edge_llama.text.stop_matcher import MAX_STOP_CHARACTERS, StopMatcher
from tests.effort import at_most

few_letters = st.text(alphabet="ab", max_size=24)
stop_lists = st.lists(st.text(alphabet="ab", min_size=1, max_size=5), max_size=5)


def first_match(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The definition, without streaming: text before the match, and the match."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text.endswith(stop, 0, end)]
        if ending:
            stop = max(ending, key=len)
            return text[: end - len(stop)], stop
    return text, None


def held_back(text: str, stops: list[str]) -> int:
    """Length of the longest end of `text` that is the beginning of a stop string."""
    return max(
        (n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0
    )


def run(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    matcher = StopMatcher(stops)
    text = "".join([*(matcher.feed(piece) for piece in pieces), matcher.flush()])
    return text, matcher.matched


@given(few_letters, stop_lists)
@example("abcabd", ["abd"])
@example("aabab", ["aabaa", "bab"])
def test_every_split_point_gives_the_same_result(text: str, stops: list[str]) -> None:
    expected = first_match(text, stops)
    assert run([text], stops) == expected
    assert run(list(text), stops) == expected
    for cut in range(len(text) + 1):
        assert run([text[:cut], text[cut:]], stops) == expected


@given(few_letters, stop_lists)
def test_text_is_passed_on_as_early_as_is_safe(text: str, stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    passed = ""
    for length in range(1, len(text) + 1):
        passed += matcher.feed(text[length - 1])
        before, stop = first_match(text[:length], stops)
        assert matcher.matched == stop
        keep = 0 if stop else held_back(before, stops)
        assert passed == before[: len(before) - keep]


@given(st.text(), st.lists(st.text(min_size=1, max_size=3), max_size=4))
def test_no_stop_string_leaks_from_any_text(text: str, stops: list[str]) -> None:
    passed, matched = run(list(text), stops)
    assert (passed, matched) == first_match(text, stops)
    assert not any(stop in passed for stop in stops)


def test_nothing_follows_a_match() -> None:
    matcher = StopMatcher(["END"])
    assert matcher.feed("one E") == "one "
    assert matcher.feed("ND two") == ""
    assert matcher.matched == "END"
    assert matcher.feed("three") == ""
    assert matcher.flush() == ""


def test_a_false_start_is_passed_on() -> None:
    matcher = StopMatcher(["END"])
    assert matcher.feed("EN") == ""
    assert matcher.feed("EE") == "ENE"
    assert matcher.flush() == "E"


def test_without_stop_strings_all_text_passes_at_once() -> None:
    matcher = StopMatcher([])
    assert matcher.feed("all of it") == "all of it"
    assert matcher.flush() == ""


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(InvalidValue, match="empty") as caught:
        StopMatcher(["a", ""])
    assert caught.value.param == "stop"


def test_stop_strings_beyond_the_limit_are_refused() -> None:
    with pytest.raises(InvalidValue, match="1048577 characters") as caught:
        StopMatcher(["a", "b" * MAX_STOP_CHARACTERS])
    assert caught.value.param == "stop"


def test_ten_thousand_stop_strings_cost_little() -> None:
    stops = [f"stop number {n}." for n in range(10_000)]
    text = "stop number, stop number 77, or any other text. " * 400 + "stop number 77."
    with at_most(1000):
        assert run([text[at : at + 4] for at in range(0, len(text), 4)], stops) == (
            text[:-15],
            stops[77],
        )


def test_a_stop_string_of_a_megabyte_costs_what_the_text_costs() -> None:
    tracemalloc.start()
    with at_most(1000):
        assert run(["a" * 5000, "b"], ["a" * 1_000_000]) == ("a" * 5000 + "b", None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 10_000_000


def test_all_ends_of_a_long_text_as_stop_strings() -> None:
    long = "".join(map(str, range(150)))
    stops = [long[at:] + "!" for at in range(len(long))]
    assert run([long, "?"], stops) == (long + "?", None)
    assert run([long, "!"], stops) == ("", long + "!")
