"""Comparison: several targets under the same loads, in turn, so that noise hits all alike."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import chain

from edge_llama.bench.load.load import solo
from edge_llama.bench.load.stream import Stream
from edge_llama.bench.machine.busy import busy_share
from edge_llama.bench.scenarios.quantity import Figure, Quantity
from edge_llama.bench.scenarios.scenarios import Scenario
from edge_llama.bench.targets.target import Target

WARM_UP = solo(16, 4)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one scenario.

    Attributes:
        name: the scenario's.
        title: the scenario's, for people.
        figures: by quantity, then by target; a target is missing where it could not tell. The
            first quantity is the one that counts, the first target what others are held against.
        cached_tokens: by target, prompt tokens that a prefix cache gave, in all runs.
        busy: the share of the CPUs that other programs took just before the runs, at worst; None
            if unknown.
    """

    name: str
    title: str
    figures: dict[Quantity, dict[str, Figure]]
    cached_tokens: dict[str, int]
    busy: float | None = None


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
        """From two decode rates."""
        raw_step, step = 1000 / raw.median, 1000 / other.median
        return cls(step - raw_step, (step / raw_step - 1) * 100)


async def compare(
    targets: Sequence[Target],
    scenarios: Sequence[Scenario],
    n_runs: int,
    progress: Callable[[str], None],
) -> list[Result]:
    """Run every scenario `n_runs` times on each target that it is for: A B C, C B A, A B C…

    Args:
        progress: called with a line for people before each run.

    Raises:
        EdgeLlamaError: a target failed.
    """
    # A server may still have the prompts of an earlier comparison in its cache.
    first_seed = secrets.randbelow(1 << 40)
    async with AsyncExitStack() as stack:
        for target in targets:
            progress(f"starting {target.name}")
            await stack.enter_async_context(target)
            await target.run(WARM_UP, first_seed)
        return [
            await _measure(
                [target for target in targets if target.name in scenario.targets],
                scenario,
                n_runs,
                first_seed + 1000 * number,
                progress,
            )
            for number, scenario in enumerate(scenarios, 1)
        ]


async def _measure(
    targets: Sequence[Target],
    scenario: Scenario,
    n_runs: int,
    first_seed: int,
    progress: Callable[[str], None],
) -> Result:
    runs: dict[str, list[list[Stream]]] = {target.name: [] for target in targets}
    busy = []
    for number in range(n_runs):
        busy.append(await busy_share())
        for target in targets if number % 2 == 0 else reversed(targets):
            progress(f"{scenario.name}: {target.name}, run {number + 1} of {n_runs}")
            runs[target.name].append(await target.run(scenario.load, first_seed + number))
    return Result(
        scenario.name,
        scenario.title,
        figures_of(scenario, runs),
        {
            name: sum(stream.cached_tokens or 0 for stream in chain.from_iterable(streams))
            for name, streams in runs.items()
        },
        max(busy),
    )


def figures_of(
    scenario: Scenario, runs: dict[str, list[list[Stream]]]
) -> dict[Quantity, dict[str, Figure]]:
    """The figures of a scenario from the streams of all runs, by target."""
    figures: dict[Quantity, dict[str, Figure]] = {}
    for measure in scenario.measures:
        row = figures[measure.quantity] = {}
        for name, streams in runs.items():
            values = [value for run in streams if not math.isnan(value := measure(run))]
            if values:
                row[name] = Figure(tuple(values))
    return figures
