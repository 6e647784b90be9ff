from __future__ import annotations

import json

import pytest
from rich.console import Console

from edge_llama.bench.comparison import Comparison, Figure
from edge_llama.bench.machine import Machine, this_machine
from edge_llama.bench.report import as_json, as_table
from edge_llama.bench.scenarios import SCENARIOS
from edge_llama.config import EngineSettings

COMPARISON = Comparison(
    ("raw", "engine"),
    {
        SCENARIOS["decode"]: (Figure((10.0, 12.5, 20.0), 0), Figure((12.0, 10.0, 12.2), 5)),
        SCENARIOS["prefill-512"]: (Figure((100.0,), 0), Figure((75.0,), 0)),
    },
)


def machine(load: float | None = None) -> Machine:
    return Machine("Fast CPU", 8, 4, 2, "Linux x86_64", "0.3", "0.1", load)


def table(load: float | None = None) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(as_table("some-model", machine(load), COMPARISON))
    return capture.get()


def test_the_table_has_medians_and_shares() -> None:
    text = table()
    assert "some-model, tokens per second" in text
    for cell in ("decode, 1 stream", "12.50", "12.00 (96.0%)", "100.00", "75.00 (75.0%)"):
        assert cell in text
    assert "overhead of engine: +3.33 ms per step, +4.2 % (budget at 1B: 3 %)" in text
    assert "Fast CPU, 4 of 8 CPUs, 2 threads, Linux x86_64" in text
    assert "5 prompt tokens came from prefix caches" in text


@pytest.mark.parametrize(("load", "warned"), [(None, False), (0.2, False), (1.7, True)])
def test_a_busy_machine_is_mentioned(load: float | None, warned: bool) -> None:
    assert ("The machine was busy" in table(load)) is warned


def test_json_has_every_run() -> None:
    data = json.loads(json.dumps(as_json("some-model", machine(0.1), COMPARISON)))
    assert data["model"] == "some-model"
    assert data["machine"]["cpu"] == "Fast CPU"
    decode, prefill = data["scenarios"]
    assert decode["metric"] == "decode"
    assert decode["tokens_per_second"]["engine"] == {
        "median": 12.0,
        "runs": [12.0, 10.0, 12.2],
        "ratio": 0.96,
        "cached_tokens": 5,
    }
    assert prefill["tokens_per_second"]["raw"]["ratio"] == 1
    assert data["overhead_per_step"]["engine"]["percent"] == pytest.approx(100 / 24)


def test_this_machine_is_described() -> None:
    here = this_machine(EngineSettings(model="m.gguf", threads=1))
    assert here.cpu
    assert here.cores >= here.usable_cores >= here.threads == 1
    assert here.llama_cpp == "0.3.36"
