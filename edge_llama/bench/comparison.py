"""Comparison: several targets under the same loads, in turn, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

from edge_llama.bench.scenarios import WARM_UP, Metric, Scenario, Stream
from edge_llama.bench.target import Target

WARM_UP_SEED = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """What one target did under one load.

    Attributes:
        rates: tokens per second of each run.
        cached_tokens: prompt tokens that a prefix cache gave, in all runs.
    """

    rates: tuple[float, ...]
    cached_tokens: int

    @property
    def median(self) -> float:
        """Tokens per second."""
        return median(self.rates)

    @classmethod
    def of(cls, metric: Metric, runs: Sequence[Sequence[Stream]]) -> Figure:
        cached = sum(stream.cached_tokens for streams in runs for stream in streams)
        return cls(tuple(metric.rate(streams) for streams in runs), cached)


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a target adds to a decode step of the raw loop.

    Attributes:
        milliseconds: added to each step.
        percent: of the raw loop's step.
    """

    milliseconds: float
    percent: float

    @classmethod
    def between(cls, raw: Figure, other: Figure) -> Overhead:
        raw_step, step = 1000 / raw.median, 1000 / other.median
        return cls(step - raw_step, (step / raw_step - 1) * 100)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures by scenario, then by target; the first target is what the others are held against.

    Attributes:
        targets: their names.
        figures: for each scenario a figure for each target.
    """

    targets: tuple[str, ...]
    figures: dict[Scenario, tuple[Figure, ...]]

    def overheads(self) -> dict[str, Overhead]:
        """By target, from the scenario that decodes one stream; empty without it."""
        for scenario, (raw, *others) in self.figures.items():
            if scenario.metric is Metric.DECODE:
                return {
                    name: Overhead.between(raw, figure)
                    for name, figure in zip(self.targets[1:], others, strict=True)
                }
        return {}


async def compare(
    targets: Sequence[Target],
    scenarios: Sequence[Scenario],
    n_runs: int,
    progress: Callable[[str], None],
) -> Comparison:
    """Run every scenario `n_runs` times on each target: A B C, C B A, A B C…

    Args:
        progress: called with a line for people before each run.

    Raises:
        EdgeLlamaError: a target failed.
    """
    async with AsyncExitStack() as stack:
        for target in targets:
            progress(f"starting {target.name}")
            await stack.enter_async_context(target)
            await target.run(WARM_UP, WARM_UP_SEED)
        figures = {
            scenario: await _measure(targets, scenario, n_runs, 1000 * number, progress)
            for number, scenario in enumerate(scenarios, 1)
        }
    return Comparison(tuple(target.name for target in targets), figures)


async def _measure(
    targets: Sequence[Target],
    scenario: Scenario,
    n_runs: int,
    first_seed: int,
    progress: Callable[[str], None],
) -> tuple[Figure, ...]:
    runs: dict[str, list[list[Stream]]] = {target.name: [] for target in targets}
    for number in range(n_runs):
        for target in targets if number % 2 == 0 else reversed(targets):
            progress(f"{scenario.title}: {target.name}, run {number + 1} of {n_runs}")
            runs[target.name].append(await target.run(scenario, first_seed + number))
    return tuple(Figure.of(scenario.metric, runs[target.name]) for target in targets)
