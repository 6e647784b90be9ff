from __future__ import annotations

from dataclasses import replace

import pytest

from edge_llama.tune import report
from edge_llama.tune.profile import PROFILES
from edge_llama.tune.tuner import Tuning
from tests.tune.test_tuner import tune
from tests.tune.tuning import FLASH, FakeMeasurer, crash, even

CHAT = PROFILES["chat"]


@pytest.fixture
def tuning() -> Tuning:
    """Flash attention is twice as fast, and repacking crashes."""
    return tune(
        FakeMeasurer(
            lambda each, step: (
                crash() if each.repack else even(each, step) / (2 if each == FLASH else 1)
            )
        )
    )


def test_the_table_has_all_candidates(tuning: Tuning) -> None:
    titles = report.columns(tuning)
    assert titles[:3] == ["", "decode at 0", "decode at 1,024"]
    lines = report.rows(tuning)
    assert {len(line) for line in lines} == {len(titles)}
    assert [line[0] for line in lines[:3]] == [
        "default",
        "flash attention on, KV cache q8_0",
        "flash attention on",
    ]
    assert lines[0][1] == "200"
    assert lines[2][1] == "400"
    varied = next(line for line in lines if line[0].endswith("micro-batch 128"))
    assert (varied[1], varied[-1][:2]) == ("-", "x ")


def test_bars_are_as_long_as_the_figures(tuning: Tuning) -> None:
    bars = [(name, depth, len(bar)) for name, depth, bar, _ in report.curves(tuning, "#")]
    assert bars[0] == ("default", "0", report.BAR // 2)
    assert bars[-1] == ("flash attention on", "3,000", report.BAR)


def test_notes_tell_what_was_decided_and_why(tuning: Tuning) -> None:
    lines = report.notes(tuning, CHAT, busy=0.0)
    assert any(line.startswith("not possible: ") and "weights repacked" in line for line in lines)
    assert lines[-1].startswith("Chosen: flash attention on (score 1.")
    same = tune(FakeMeasurer())
    assert report.notes(same, CHAT, busy=0.0)[-1] == (
        "The default stays: nothing else was better by 5% or more, twice."
    )


def test_a_busy_machine_is_told(tuning: Tuning) -> None:
    assert not any("busy" in line for line in report.notes(tuning, CHAT, busy=0.05))
    assert any("busy" in line and "60%" in line for line in report.notes(tuning, CHAT, busy=0.6))


def test_running_out_of_time_is_told(tuning: Tuning) -> None:
    hurried = replace(tuning, out_of_time=True)
    assert any(line.startswith("Not everything") for line in report.notes(hurried, CHAT, 0.0))
