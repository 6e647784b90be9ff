"""The figures for people (rows of a table and notes) and for programs (JSON)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_llama.bench.machine.busy import BUSY_SHARE
from edge_llama.bench.machine.machine import Machine
from edge_llama.bench.scenarios.comparison import Overhead, Result
from edge_llama.bench.scenarios.estimate import ESTIMATE
from edge_llama.bench.scenarios.goals import goal_of
from edge_llama.bench.scenarios.quantity import Figure, Goal, Quantity, Unit
from edge_llama.bench.scenarios.scenarios import DECODE_SCENARIO
from edge_llama.bench.targets.target import DEFAULTS, RAW, TARGETS

BARE = (DEFAULTS, RAW)
"""What others are held against."""

BAR = 24
"""Characters of the longest bar."""

BUDGET_PERCENT = 3.0
"""Most that engine, pipes and API may add to a step of a 1B model."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, on what.

    Attributes:
        model: the name of the shape or of the model.
        machine: what it ran on.
        n_runs: runs of each scenario.
        results: by scenario.
    """

    model: str
    machine: Machine
    n_runs: int
    results: Sequence[Result]

    @property
    def targets(self) -> list[str]:
        """Those that have a figure, in their usual order."""
        found = {name for result in self.results for row in result.figures.values() for name in row}
        return [name for name in (*TARGETS, ESTIMATE) if name in found]

    @property
    def overheads(self) -> dict[str, Overhead]:
        """By target, from the scenario that decodes one stream; empty without it or raw."""
        for result in self.results:
            if result.name == DECODE_SCENARIO.name:
                row = result.figures[DECODE_SCENARIO.measures[0].quantity]
                if RAW in row:
                    return {
                        name: Overhead.between(row[RAW], figure)
                        for name, figure in row.items()
                        if name != RAW
                    }
        return {}

    def rows(self) -> Iterator[list[str]]:
        """The table, without the line of `targets` above: a quantity, its figures, its goal."""
        for result in self.results:
            yield [f"{result.name}: {result.title}", *[""] * len(self.targets), ""]
            for quantity, row in result.figures.items():
                goal = self._goal(result.name, quantity, row)
                yield [
                    f"  {quantity.title}{_unit(quantity)}",
                    *(_cell(quantity, row, name) for name in self.targets),
                    "" if goal is None else goal.text(quantity.unit, next(iter(row))),
                ]

    def bars(self, mark: str) -> Iterator[list[str]]:
        """The first quantity of each scenario that several targets played, a bar for each.

        Args:
            mark: the character that bars consist of.
        """
        for result in self.results:
            quantity, row = next(iter(result.figures.items()), (None, {}))
            if quantity is None or len(row) < 2:
                continue
            longest = max(figure.median for figure in row.values())
            for number, (target, figure) in enumerate(row.items()):
                bar = mark * max(1, round(BAR * figure.median / longest)) if longest > 0 else ""
                title = "" if number else f"{result.name}: {quantity.title}{_unit(quantity)}"
                yield [title, target, bar, quantity.unit.format(figure.median)]

    def notes(self) -> Iterator[str]:
        """Lines below the table."""
        runs = "one run" if self.n_runs == 1 else f"medians of {self.n_runs} runs"
        yield f"{runs} on {self.machine}"
        for name, overhead in self.overheads.items():
            yield (
                f"overhead of {name}: {overhead.milliseconds:+.2f} ms per step, "
                f"{overhead.percent:+.1f} % (budget at 1B: {BUDGET_PERCENT:.0f} %)"
            )
        uncached = [result for result in self.results if RAW in _names(result)]
        cached = sum(sum(result.cached_tokens.values()) for result in uncached)
        if cached:
            yield f"{cached} prompt tokens came from prefix caches; prefill does not count them"
        busy = [result for result in self.results if (result.busy or 0) > BUSY_SHARE]
        if busy:
            names = ", ".join(result.name for result in busy)
            worst = max(result.busy or 0 for result in busy)
            yield (
                f"The machine was busy with something else ({worst:.0%} of its CPUs) during "
                f"{names}: close what else runs for figures to trust."
            )

    def as_json(self) -> dict[str, Any]:
        """Everything measured.

        ```
        model, runs
        machine       cpu, cores, usable_cores, threads, system, llama_cpp, edge_llama
        scenarios     by name:
          title
          busy          share of the CPUs that others took before the runs, at worst; or null
          cached_tokens by target: prompt tokens from its prefix cache, in all runs
          figures       by key:
            unit          tokens/s, s, ratio, share, bytes or tokens
            goal          null, or {bound, at_least, of_first}: a multiple of the first's
            targets       by name:
              median, runs
              spread        half of highest less lowest run, as a share of the median
              of_first      median over that of the first target
              met           whether the goal is reached; null without one
        overhead      by target: {milliseconds, percent} added to a step of the raw loop
        ```
        """
        return {
            "model": self.model,
            "runs": self.n_runs,
            "machine": asdict(self.machine),
            "scenarios": {
                result.name: {
                    "title": result.title,
                    "busy": result.busy,
                    "cached_tokens": result.cached_tokens,
                    "figures": {
                        quantity.key: self._row_json(result.name, quantity, row)
                        for quantity, row in result.figures.items()
                        if row
                    },
                }
                for result in self.results
            },
            "overhead": {name: asdict(overhead) for name, overhead in self.overheads.items()},
        }

    def _row_json(
        self, scenario: str, quantity: Quantity, row: dict[str, Figure]
    ) -> dict[str, Any]:
        goal = self._goal(scenario, quantity, row)
        first = next(iter(row.values())).median
        return {
            "unit": quantity.unit.value,
            "goal": None if goal is None else asdict(goal),
            "targets": {
                name: {
                    "median": figure.median,
                    "runs": figure.runs,
                    "spread": figure.spread,
                    "of_first": figure.median / first if first else None,
                    "met": None if goal is None else goal.met(figure.median, first),
                }
                for name, figure in row.items()
            },
        }

    def _goal(self, scenario: str, quantity: Quantity, row: dict[str, Figure]) -> Goal | None:
        """What these figures should reach; none that a bare loop sets where it did not run."""
        goal = goal_of(scenario, quantity.key, self.model)
        if goal and goal.of_first and next(iter(row), "") not in BARE:
            return None
        return goal


def _names(result: Result) -> Iterable[str]:
    return next(iter(result.figures.values()), {})


def _unit(quantity: Quantity) -> str:
    return ", tokens/s" if quantity.unit is Unit.TOKENS_PER_SECOND else ""


def _cell(quantity: Quantity, row: dict[str, Figure], target: str) -> str:
    if target not in row:
        return ""
    figure = row[target]
    text = quantity.unit.format(figure.median)
    if target == ESTIMATE and len(figure.runs) > 1:
        return f"{text} ± {figure.spread:.0%}"
    first = next(iter(row))
    if quantity.unit is Unit.TOKENS_PER_SECOND and first in BARE and target != first:
        return f"{text} ({figure.median / row[first].median:.1%})"
    return text
