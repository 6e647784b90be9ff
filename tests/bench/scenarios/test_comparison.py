from __future__ import annotations

import math

import pytest

from edge_llama.bench.load.load import Load
from edge_llama.bench.load.stream import Stream
from edge_llama.bench.scenarios import comparison
from edge_llama.bench.scenarios.comparison import WARM_UP, Overhead, compare
from edge_llama.bench.scenarios.quantity import Figure
from edge_llama.bench.scenarios.scenarios import SCENARIOS
from edge_llama.errors import EngineDied

DECODE, PREFIX = SCENARIOS["decode"], SCENARIOS["prefix"]
RATE = DECODE.measures[0].quantity


class FakeTarget:
    """Decodes at given rates, one per run after the warm-up."""

    def __init__(self, name: str, log: list[str], rates: list[float]) -> None:
        self.name = name
        self._log = log
        self._rates = iter(rates)
        self._seeds: list[int] = []

    async def __aenter__(self) -> FakeTarget:
        self._log.append(f"{self.name} in")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._log.append(f"{self.name} out")

    @property
    def seeds(self) -> list[int]:
        """Of the runs, from the first on."""
        return [seed - self._seeds[0] for seed in self._seeds]

    async def run(self, load: Load, seed: int) -> list[Stream]:
        if load is WARM_UP:
            return []
        self._seeds.append(seed)
        self._log.append(f"{self.name} runs")
        rate = next(self._rates, None)
        if rate is None:
            raise EngineDied("no more")
        return [Stream(16, 2, 65, 0.0, (1.0, 1.0 + 64 / rate)) for _ in load.requests]


async def test_targets_take_turns_and_medians_count(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([0.0, 0.4, 0.1])

    async def busy_share() -> float:
        return next(shares)

    monkeypatch.setattr(comparison, "busy_share", busy_share)
    log: list[str] = []
    raw = FakeTarget("raw", log, [10, 8, 12])
    ours = FakeTarget("engine", log, [5, 9, 7])
    lines: list[str] = []
    (result,) = await compare([raw, ours], [DECODE], 3, lines.append)
    turns = [f"{name} runs" for name in ("raw", "engine", "engine", "raw", "raw", "engine")]
    assert log == ["raw in", "engine in", *turns, "engine out", "raw out"]
    assert raw.seeds == ours.seeds == [0, 1, 2]
    medians = {name: figure.median for name, figure in result.figures[RATE].items()}
    assert medians == pytest.approx({"raw": 10, "engine": 7})
    assert result.cached_tokens == {"raw": 6, "engine": 6}
    assert result.busy == 0.4
    assert lines[0] == "starting raw"
    assert lines[-1] == "decode: engine, run 3 of 3"


async def test_the_raw_loop_is_left_out_where_it_cannot_play() -> None:
    log: list[str] = []
    targets = [FakeTarget("raw", log, []), FakeTarget("server", log, [10])]
    (result,) = await compare(targets, [PREFIX], 1, log.append)
    assert all(set(row) == {"server"} for row in result.figures.values())


async def test_targets_are_left_when_one_fails() -> None:
    log: list[str] = []
    raw, ours = FakeTarget("raw", log, [1]), FakeTarget("engine", log, [])
    with pytest.raises(EngineDied):
        await compare([raw, ours], [DECODE], 1, log.append)
    assert log[-2:] == ["engine out", "raw out"]


def test_runs_that_cannot_tell_do_not_count() -> None:
    def stream(*times: float) -> Stream:
        return Stream(16, None, 2, 0.0, times)

    four = SCENARIOS["concurrent-4"]
    gap = four.measures[1].quantity
    runs = {"engine": [[stream(1.0, 2.0)], [stream(1.0)]], "server": [[stream(1.0)]]}
    figures = comparison.figures_of(four, runs)
    assert figures[gap] == {"engine": Figure((1.0,))}
    assert not any(math.isnan(figure.median) for row in figures.values() for figure in row.values())


def test_overhead_is_time_per_step() -> None:
    overhead = Overhead.between(Figure((10.0,)), Figure((8.0,)))
    assert overhead.milliseconds == pytest.approx(25)
    assert overhead.percent == pytest.approx(25)
