"""A whole benchmark: scenarios in groups that share a prefix cache or none, then the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_llama.bench.scenarios.comparison import Result, compare
from edge_llama.bench.scenarios.memory import measure_memory
from edge_llama.bench.scenarios.restart import measure_restart
from edge_llama.bench.scenarios.scenarios import (
    MEMORY,
    RESTART,
    SCENARIOS,
    STARTUP,
    Scenario,
    default_settings,
    engine_settings,
    streams_settings,
)
from edge_llama.bench.scenarios.startup import measure_startup
from edge_llama.bench.targets.engine import EngineTarget
from edge_llama.bench.targets.raw import RawTarget
from edge_llama.bench.targets.server import ServerTarget
from edge_llama.bench.targets.target import DEFAULTS, RAW, SERVER, TARGETS, URL, Target
from edge_llama.bench.targets.url import URLTarget
from edge_llama.errors import SettingsError
from edge_llama.settings.engine import EngineSettings


@dataclass(frozen=True, slots=True)
class Suite:
    """What to measure.

    Attributes:
        names: of scenarios, each once, no groups.
        targets: names of targets; None takes those that each scenario is for.
        n_runs: runs of each.
        model: the file; None where only a URL is measured.
        threads: of our own targets; None chooses.
        url: a running server that is measured too.
        tuned: run the model as `edge-llama tune` found best.
        plan: fills in the settings what a server would, `tuned` respected.
    """

    names: Sequence[str]
    targets: Sequence[str] | None
    n_runs: int
    model: Path | None = None
    threads: int | None = None
    url: URLTarget | None = None
    tuned: bool = False
    plan: Callable[[EngineSettings], EngineSettings] = lambda settings: settings

    async def run(self, progress: Callable[[str], None]) -> list[Result]:
        """Measure all, in the order of the names but for the grouping.

        Args:
            progress: called with a line for people before each step.

        Raises:
            SettingsError: nothing of this can be measured on these targets.
            EdgeLlamaError: a target failed.
        """
        results: list[Result] = []
        scenarios = self._scenarios()
        plain = [scenario for scenario in scenarios if not scenario.against_defaults]
        for cached in (False, True):
            group = [scenario for scenario in plain if scenario.cached is cached]
            if group:
                targets = [self._target(name, group) for name in _names_of(group)]
                results += await compare(targets, group, self.n_runs, progress)
        for scenario in scenarios:
            if scenario.against_defaults:
                targets = [self._target_of(scenario, name) for name in scenario.targets]
                results += await compare(targets, [scenario], self.n_runs, progress)
        results += await self._measure_server(progress)
        if not results:
            raise SettingsError("None of these scenarios can be measured on that --target.")
        return results

    def _scenarios(self) -> list[Scenario]:
        """Those that are played, on the targets that there are."""
        chosen = [SCENARIOS[name] for name in self.names if name in SCENARIOS]
        if self.targets is not None:
            chosen = [scenario.on(self.targets) for scenario in chosen]
        there = [scenario.on(list(filter(self._is_there, scenario.targets))) for scenario in chosen]
        return [scenario for scenario in there if scenario.targets]

    def _is_there(self, target: str) -> bool:
        return (self.url if target == URL else self.model) is not None

    def _target(self, name: str, scenarios: Sequence[Scenario]) -> Target:
        if name == URL:
            assert self.url is not None
            return self.url
        settings = engine_settings(str(self.model), scenarios, self.threads)
        if name == SERVER:
            return ServerTarget(settings, tuned=self.tuned)
        planned = self.plan(settings)
        return RawTarget(planned) if name == RAW else EngineTarget(planned)

    def _target_of(self, scenario: Scenario, name: str) -> Target:
        """One for a scenario that is held against llama.cpp's defaults."""
        settings = streams_settings(str(self.model), scenario.load, self.threads)
        if name == DEFAULTS:
            return RawTarget(default_settings(settings, scenario.load), name)
        return RawTarget(settings) if name == RAW else EngineTarget(settings)

    async def _measure_server(self, progress: Callable[[str], None]) -> list[Result]:
        """What is measured of a server of our own, without a load."""
        results: list[Result] = []
        if self.model is None or SERVER not in (self.targets or TARGETS):
            return results
        if STARTUP in self.names:
            startup = measure_startup(
                self.model, self.threads, self.n_runs, progress, tuned=self.tuned
            )
            results.append(await startup)
        if RESTART in self.names:
            restart = measure_restart(
                self.model, self.threads, self.n_runs, progress, self.plan, tuned=self.tuned
            )
            results.append(await restart)
        if MEMORY in self.names:
            figure = await measure_memory(self.model, self.threads, progress)
            results.append(figure.result())
        return results


def _names_of(scenarios: Sequence[Scenario]) -> list[str]:
    """The targets of all of these scenarios, in their usual order."""
    return [name for name in TARGETS if any(name in scenario.targets for scenario in scenarios)]
