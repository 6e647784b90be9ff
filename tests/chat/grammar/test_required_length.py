from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.chat.grammar.required_length import required_length


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("", 0),
        ("abc", 3),
        ("^a$", 3),
        ("a{5}", 5),
        ("a{5,}b{2,9}", 7),
        ("a*b+c?", 3),
        ("[a-z]{3}[^]]{2}[]x]", 6),
        ("(ab){3}", 6),
        ("((a{100}){100}){100}", 1_000_000),
        ("(a{1000000})?", 1_000_000),
        ("a{1000000000}", 1_000_000_000),
        ("a{99999999999999}", 999_999_999_999),
        ("a{3}{4}", 12),
        (r"\d{4}-\d{2}", 7),
        (r"\(a\){3}", 5),
        ("a|bc", 3),
        (r"^[A-Za-z0-9+/]{1,100000}={0,2}$", 4),
        ("(((", 0),
        ("{3}", 0),
    ],
)
def test_lengths(pattern: str, length: int) -> None:
    assert required_length(pattern) == length


PATTERNS = st.recursive(
    st.sampled_from(["a", "[ab]", r"\d", "."]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.tuples(inner, st.integers(0, 4)).map(lambda pair: f"({pair[0]}){{{pair[1]}}}")
        | inner.map(lambda pattern: f"(?:{pattern})*")
        | st.lists(inner, min_size=2, max_size=3).map(lambda many: f"({'|'.join(many)})")
    ),
    max_leaves=8,
)


@given(PATTERNS, st.data())
def test_no_match_is_forced_to_be_longer(pattern: str, data: st.DataObject) -> None:
    shortest = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True).map(len))
    if "*" not in pattern:
        assert shortest <= required_length(pattern)
