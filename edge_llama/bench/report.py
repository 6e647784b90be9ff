"""The figures for people (a table) and for programs (JSON)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edge_llama.bench.comparison import Comparison, Figure
from edge_llama.bench.machine import Machine
from edge_llama.bench.scenarios import Scenario

BUDGET_PERCENT = 3.0
"""Most that engine, pipes and API may add to a step of a 1B model."""

BUSY_LOAD = 0.5


def as_json(model: str, machine: Machine, comparison: Comparison) -> dict[str, Any]:
    """Everything measured: tokens per second, each run and the median, and what they ran on."""
    return {
        "model": model,
        "machine": asdict(machine),
        "scenarios": [
            {
                "title": scenario.title,
                "metric": scenario.metric.value,
                "clients": scenario.clients,
                "prompt_tokens": scenario.prompt_tokens,
                "output_tokens": scenario.output_tokens,
                "tokens_per_second": {
                    name: {
                        "median": figure.median,
                        "runs": figure.rates,
                        "ratio": figure.median / figures[0].median,
                        "cached_tokens": figure.cached_tokens,
                    }
                    for name, figure in zip(comparison.targets, figures, strict=True)
                },
            }
            for scenario, figures in comparison.figures.items()
        ],
        "overhead_per_step": {
            name: asdict(overhead) for name, overhead in comparison.overheads().items()
        },
    }


def as_table(model: str, machine: Machine, comparison: Comparison) -> RenderableType:
    """A table of medians, each also as a share of the first target's; below it the overhead."""
    table = Table(title=f"{model}, tokens per second", title_justify="left")
    table.add_column("")
    for name in comparison.targets:
        table.add_column(name, justify="right")
    for scenario, figures in comparison.figures.items():
        table.add_row(*_row(scenario, figures))
    lines = [Text(str(machine)), *map(Text, _notes(machine, comparison))]
    return Group(table, *lines)


def _row(scenario: Scenario, figures: tuple[Figure, ...]) -> Iterator[str]:
    raw, *others = figures
    yield scenario.title
    yield f"{raw.median:.2f}"
    for figure in others:
        yield f"{figure.median:.2f} ({figure.median / raw.median:.1%})"


def _notes(machine: Machine, comparison: Comparison) -> Iterator[str]:
    yield "the prefix cache is off: all attend to the same cells in every step"
    for name, overhead in comparison.overheads().items():
        yield (
            f"overhead of {name}: {overhead.milliseconds:+.2f} ms per step, "
            f"{overhead.percent:+.1f} % (budget at 1B: {BUDGET_PERCENT:.0f} %)"
        )
    cached = sum(f.cached_tokens for figures in comparison.figures.values() for f in figures)
    if cached:
        yield f"{cached} prompt tokens came from prefix caches; prefill does not count them"
    if machine.load is not None and machine.load > BUSY_LOAD:
        yield (
            f"The machine was busy before (load {machine.load:.1f}): "
            "close what else runs for figures to trust."
        )
