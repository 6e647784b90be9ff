from __future__ import annotations

import pytest

from edge_llama.bench.scenarios.quantity import Figure, Goal, Unit


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.SECONDS, 0.05712, "57.12 ms"),
        (Unit.SECONDS, 1.5, "1,500 ms"),
        (Unit.SECONDS, 11.5, "11.50 s"),
        (Unit.TOKENS_PER_SECOND, 2122.374, "2,122.37"),
        (Unit.RATIO, 1.5, "1.50 x"),
        (Unit.SHARE, 0.0005, "0.05%"),
        (Unit.SHARE, 1.0, "100%"),
        (Unit.BYTES, 51_300_000, "51 MB"),
        (Unit.TOKENS, 841, "841"),
    ],
)
def test_numbers_for_people(unit: Unit, value: float, text: str) -> None:
    assert unit.format(value) == text


def test_a_figure_is_its_median_and_its_spread() -> None:
    assert Figure((9.0, 12.0, 10.0)).median == 10
    assert Figure((9.0, 12.0, 10.0)).spread == pytest.approx(0.15)
    assert Figure((0.0,)).spread == 0


def test_goals() -> None:
    most, least = Goal(0.5), Goal(0.97, at_least=True, of_first=True)
    assert (most.text(Unit.SECONDS, "raw"), most.met(0.5, 9), most.met(0.6, 9)) == (
        "<= 500 ms",
        True,
        False,
    )
    assert least.text(Unit.TOKENS_PER_SECOND, "raw") == ">= 0.97 x raw"
    assert least.met(9.7, 10)
    assert not least.met(9.6, 10)
