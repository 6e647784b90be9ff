from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.errors import SettingsError
from edge_llama.units import format_count, format_duration, format_limit, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6G", 6_000_000_000),
        ("6GB", 6_000_000_000),
        ("6 gb", 6_000_000_000),
        ("6.5GiB", 6_979_321_856),
        ("6.5Gi", 6_979_321_856),
        ("512M", 512_000_000),
        ("512MiB", 536_870_912),
        ("1.5T", 1_500_000_000_000),
        ("4k", 4000),
        ("1000000", 1_000_000),
        (" 100B ", 100),
    ],
)
def test_an_amount_of_memory(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "G", "6X", "six", "-6G", "6iB", "6GG", "1e9", "6,5G", "0", "0.0001k", "٦G", "inf"]
)
def test_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(SettingsError, match=r"6\.5GiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (12_345, "12.3 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (4_920_734_176, "4.92 GB"),
        (42_520_395_584, "42.5 GB"),
        (9_996_000_000, "10.0 GB"),
        (99_960_000_000, "100 GB"),
        (3e16, "30000 TB"),
    ],
)
def test_sizes_have_three_digits(size: float, shown: str) -> None:
    assert format_size(size) == shown


@given(st.integers(1, 10**15))
def test_a_shown_size_is_read_back_within_half_a_percent(size: int) -> None:
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.005)


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (2 * 1024 * 1024, "2 MiB"),
        (64 * 1024, "64 KiB"),
        (4 * 1024**3, "4 GiB"),
        (1024 * 1024 * 1023, "1023 MiB"),
        (2_000_000, "2.00 MB"),
        (2 * 1024 * 1024 + 1, "2.10 MB"),
        (1000, "1.00 kB"),
        (100, "100 B"),
        (0, "0 B"),
    ],
)
def test_a_limit_keeps_the_unit_it_was_chosen_in(limit: int, shown: str) -> None:
    assert format_limit(limit) == shown


@given(st.integers(1, 1023), st.integers(1, 4))
def test_a_binary_limit_is_read_back_as_it_is(count: int, power: int) -> None:
    assert parse_size(format_limit(count * 1024**power)) == count * 1024**power


def test_counts() -> None:
    assert format_count(8_030_261_312) == "8.03 billion"
    assert format_count(361_000) == "361 thousand"
    assert format_count(7) == "7"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown
