"""Which targets are started for what, and with which settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_llama.bench.scenarios import suite
from edge_llama.bench.scenarios.comparison import Result
from edge_llama.bench.scenarios.scenarios import Scenario
from edge_llama.bench.scenarios.suite import Suite
from edge_llama.bench.targets.target import Target
from edge_llama.bench.targets.url import URLTarget
from edge_llama.errors import SettingsError
from edge_llama.settings.engine import EngineSettings

MODEL = Path("model.gguf")
URL = URLTarget("http://127.0.0.1:1")


class FakeTarget:
    """Remembers what it was to be started with."""

    def __init__(
        self, kind: str, settings: EngineSettings, name: str = "", **options: bool
    ) -> None:
        self.name = name or kind
        self.settings = settings
        self.options = options


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Any], list[Scenario]]]:
    """The targets and scenarios of each comparison."""
    seen: list[tuple[list[Any], list[Scenario]]] = []

    async def compare(
        targets: Sequence[Target],
        scenarios: Sequence[Scenario],
        n_runs: int,
        progress: Callable[[str], None],
    ) -> list[Result]:
        seen.append((list(targets), list(scenarios)))
        return [Result(scenario.name, "", {}, {}) for scenario in scenarios]

    async def measure_startup(*_: object, tuned: bool) -> Result:
        return Result("startup", "", {}, {})

    monkeypatch.setattr(suite, "compare", compare)
    monkeypatch.setattr(suite, "measure_startup", measure_startup)
    for kind, name in (
        ("RawTarget", "raw"),
        ("EngineTarget", "engine"),
        ("ServerTarget", "server"),
    ):
        monkeypatch.setattr(
            suite, kind, lambda *args, name=name, **options: FakeTarget(name, *args, **options)
        )
    return seen


def names(targets: Sequence[Target]) -> list[str]:
    return [target.name for target in targets]


async def run(suite: Suite) -> list[str]:
    return [result.name for result in await suite.run(lambda _: None)]


async def test_scenarios_with_a_prefix_cache_come_in_a_group_of_their_own(
    compared: list[tuple[list[Any], list[Scenario]]],
) -> None:
    ordered = await run(Suite(["startup", "churn", "decode", "stall"], None, 3, MODEL, url=URL))
    assert ordered == ["decode", "stall", "churn", "startup"]
    (plain, _), (cached, _) = compared
    assert names(plain) == ["raw", "engine", "server", "url"]
    assert names(cached) == ["server", "url"]
    assert {target.settings.cached_sequences for target in plain[:3]} == {0}
    assert cached[0].settings.cached_sequences > 0


async def test_each_scenario_against_the_defaults_has_targets_of_its_own(
    compared: list[tuple[list[Any], list[Scenario]]],
) -> None:
    ordered = await run(Suite(["many", "decode", "deep"], ["defaults", "raw"], 1, MODEL))
    assert ordered == ["decode", "many", "deep"]
    _, (many, _), (deep, _) = compared
    for targets, parallel in ((many, 8), (deep, 1)):
        assert [target.settings.parallel for target in targets] == [parallel] * 2
        assert [target.settings.flash_attention for target in targets] == [True, False]


async def test_engine_and_raw_loop_run_as_the_server_plans(
    compared: list[tuple[list[Any], list[Scenario]]],
) -> None:
    def plan(settings: EngineSettings) -> EngineSettings:
        return replace(settings, micro_batch=77)

    await run(Suite(["decode"], None, 1, MODEL, tuned=True, plan=plan))
    ((raw, engine, server),) = (targets for targets, _ in compared)
    assert raw.settings == engine.settings
    assert raw.settings.micro_batch == 77
    assert server.options == {"tuned": True}


async def test_only_the_targets_that_were_asked_for(
    compared: list[tuple[list[Any], list[Scenario]]],
) -> None:
    assert await run(Suite(["decode", "stall", "startup"], ["raw"], 1, MODEL)) == ["decode"]
    assert await run(Suite(["prefix", "startup"], ["url"], 1, url=URL)) == ["prefix"]
    assert [names(targets) for targets, _ in compared] == [["raw"], ["url"]]


@pytest.mark.usefixtures("compared")
async def test_nothing_to_measure_is_told() -> None:
    with pytest.raises(SettingsError, match="None of these scenarios"):
        await run(Suite(["stall"], ["raw"], 1, MODEL))
