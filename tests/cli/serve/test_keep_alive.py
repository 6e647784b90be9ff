from __future__ import annotations

import pytest

from edge_llama.cli.serve.keep_alive import parse_keep_alive
from edge_llama.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("0.5", 0.5),
        ("30s", 30),
        ("10m", 600),
        ("1h", 3600),
        ("1.5h", 5400),
        ("2d", 2 * 86400),
        (" 5m ", 300),
        ("8760h", 365 * 86400),
        ("-1", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_keep_alive(text) == seconds


@pytest.mark.parametrize("text", ["", "-2", "-1m", "ten", "10 m", "1h30m", "1w", "inf", "nan", "٣"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a duration"):
        parse_keep_alive(text)


def test_more_than_a_year_is_refused() -> None:
    with pytest.raises(SettingsError, match="longer than a year"):
        parse_keep_alive("9" * 400)
