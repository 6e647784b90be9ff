from __future__ import annotations

import json

import pytest

from edge_llama.bench.machine.machine import Machine, this_machine
from edge_llama.bench.report.report import Report
from edge_llama.bench.scenarios.comparison import Result
from edge_llama.bench.scenarios.estimate import DECODE, ESTIMATE
from edge_llama.bench.scenarios.quantity import Figure
from edge_llama.bench.scenarios.scenarios import SCENARIOS

MACHINE = Machine("Fast CPU", 8, 4, 2, "Linux x86_64", "0.3", "0.1")
RATE = SCENARIOS["decode"].measures[0].quantity
GAP = SCENARIOS["stall"].measures[1].quantity

DECODED = Result(
    "decode",
    "one stream",
    {RATE: {"raw": Figure((10.0, 12.5, 20.0)), "engine": Figure((12.0, 10.0, 12.2))}},
    {"raw": 0, "engine": 5},
    busy=0.02,
)
STALLED = Result(
    "stall", "a newcomer", {GAP: {"server": Figure((0.4, 0.7, 0.6))}}, {"server": 0}, busy=0.3
)
ESTIMATED = Result(ESTIMATE, "some layers", {DECODE: {ESTIMATE: Figure((4.0, 5.0, 4.2))}}, {})


def report(*results: Result, model: str = "llama-3.2-1b") -> Report:
    return Report(model, MACHINE, 3, results)


def test_rows_have_medians_shares_and_goals() -> None:
    both = report(DECODED, STALLED)
    assert both.targets == ["raw", "engine", "server"]
    assert list(both.rows()) == [
        ["decode: one stream", "", "", "", ""],
        ["  decode, tokens/s", "12.50", "12.00 (96.0%)", "", ">= 0.97 x raw"],
        ["stall: a newcomer", "", "", "", ""],
        ["  longest gap, newcomer there", "", "", "600 ms", "<= 500 ms"],
    ]


def test_bars_are_as_long_as_the_figures() -> None:
    assert list(report(DECODED, STALLED, ESTIMATED).bars("#")) == [
        ["decode: decode, tokens/s", "raw", "#" * 24, "12.50"],
        ["", "engine", "#" * 23, "12.00"],
    ]


def test_the_defaults_are_what_others_are_held_against() -> None:
    figures = {"defaults": Figure((4.0,)), "raw": Figure((10.0,)), "engine": Figure((9.0,))}
    deep = Result("deep", "", {RATE: figures}, {})
    assert list(report(deep).rows())[1] == [
        "  decode, tokens/s",
        "4.00",
        "10.00 (250.0%)",
        "9.00 (225.0%)",
        ">= 2 x defaults",
    ]
    assert report(deep).overheads == {}


def test_a_goal_that_raw_sets_needs_raw() -> None:
    alone = Result("decode", "", {RATE: {"server": Figure((9.0,))}}, {})
    assert list(report(alone).rows())[1] == ["  decode, tokens/s", "9.00", ""]
    assert report(alone).overheads == {}


def test_an_estimate_has_a_margin() -> None:
    assert list(report(ESTIMATED).rows())[1] == ["  decode, tokens/s", "4.20 ± 12%", ""]


def test_notes_tell_what_to_know() -> None:
    machine, overhead, cached, busy = report(DECODED, STALLED).notes()
    assert machine.startswith("medians of 3 runs on Fast CPU, 4 of 8 CPUs, 2 threads, Linux x86_64")
    assert overhead == "overhead of engine: +3.33 ms per step, +4.2 % (budget at 1B: 3 %)"
    assert cached.startswith("5 prompt tokens came from prefix caches")
    assert "busy with something else (30% of its CPUs) during stall" in busy
    assert len(list(report(ESTIMATED).notes())) == 1


def test_json_has_every_run() -> None:
    data = json.loads(json.dumps(report(DECODED, STALLED).as_json()))
    assert (data["model"], data["runs"], data["machine"]["cpu"]) == ("llama-3.2-1b", 3, "Fast CPU")
    decode = data["scenarios"]["decode"]
    assert decode["cached_tokens"] == {"raw": 0, "engine": 5}
    rate = decode["figures"]["tokens_per_second"]
    assert rate["unit"] == "tokens/s"
    assert rate["goal"] == {"bound": 0.97, "at_least": True, "of_first": True}
    assert rate["targets"]["engine"] == {
        "median": 12.0,
        "runs": [12.0, 10.0, 12.2],
        "spread": pytest.approx(1.1 / 12),
        "of_first": 0.96,
        "met": False,
    }
    stall = data["scenarios"]["stall"]
    assert stall["busy"] == 0.3
    assert stall["figures"]["longest_gap"]["targets"]["server"]["met"] is False
    assert data["overhead"]["engine"]["percent"] == pytest.approx(100 / 24)


def test_this_machine_is_described() -> None:
    here = this_machine(threads=1)
    assert here.cpu
    assert here.cores >= here.usable_cores >= here.threads == 1
    assert here.llama_cpp == "0.3.36"
    assert this_machine(None).threads >= 1
