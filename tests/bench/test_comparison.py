from __future__ import annotations

import pytest

from edge_llama.bench.comparison import Comparison, Figure, Overhead, compare
from edge_llama.bench.scenarios import SCENARIOS, WARM_UP, Scenario, Stream
from edge_llama.errors import EngineDied

DECODE = SCENARIOS["decode"]


class FakeTarget:
    """Decodes at given rates, one per run after the warm-up."""

    def __init__(self, name: str, log: list[str], rates: list[float]) -> None:
        self.name = name
        self._log = log
        self._rates = iter(rates)

    async def __aenter__(self) -> FakeTarget:
        self._log.append(f"{self.name} in")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._log.append(f"{self.name} out")

    async def run(self, scenario: Scenario, seed: int) -> list[Stream]:
        if scenario is WARM_UP:
            return []
        self._log.append(f"{self.name} {seed}")
        rate = next(self._rates, None)
        if rate is None:
            raise EngineDied("no more")
        return [Stream(16, 2, 65, 1.0, 1.0 + 64 / rate)]


async def test_targets_take_turns_and_medians_count() -> None:
    log: list[str] = []
    raw = FakeTarget("raw", log, [10, 8, 12])
    ours = FakeTarget("ours", log, [5, 9, 7])
    lines: list[str] = []
    comparison = await compare([raw, ours], [DECODE], 3, lines.append)
    turns = ["raw 1000", "ours 1000", "ours 1001", "raw 1001", "raw 1002", "ours 1002"]
    assert log == ["raw in", "ours in", *turns, "ours out", "raw out"]
    assert [figure.median for figure in comparison.figures[DECODE]] == pytest.approx([10, 7])
    assert comparison.figures[DECODE][1].cached_tokens == 6
    assert lines[0] == "starting raw"
    assert lines[-1] == "decode, 1 stream: ours, run 3 of 3"


async def test_targets_are_left_when_one_fails() -> None:
    log: list[str] = []
    raw, ours = FakeTarget("raw", log, [1]), FakeTarget("ours", log, [])
    with pytest.raises(EngineDied):
        await compare([raw, ours], [DECODE], 1, log.append)
    assert log[-2:] == ["ours out", "raw out"]


def test_overhead_is_time_per_step() -> None:
    overhead = Overhead.between(Figure((10.0,), 0), Figure((8.0,), 0))
    assert overhead.milliseconds == pytest.approx(25)
    assert overhead.percent == pytest.approx(25)


def test_overhead_needs_the_solo_decode() -> None:
    figures = (Figure((10.0,), 0), Figure((9.0,), 0))
    other = Comparison(("raw", "ours"), {SCENARIOS["prefill-512"]: figures})
    both = Comparison(("raw", "ours"), {SCENARIOS["prefill-512"]: figures, DECODE: figures})
    assert other.overheads() == {}
    assert both.overheads()["ours"].percent == pytest.approx(100 / 9)
