from __future__ import annotations

import pytest

from edge_llama.bench.goals import GOALS, goal_of
from edge_llama.bench.quantity import Goal
from edge_llama.bench.scenarios import (
    DEFAULT,
    GROUPS,
    NAMES,
    SCENARIOS,
    chosen_names,
    engine_settings,
)
from edge_llama.bench.target import ENGINE, RAW
from edge_llama.errors import SettingsError


def test_names_stand_for_scenarios_each_once() -> None:
    assert chosen_names([]) == list(DEFAULT)
    assert chosen_names(["overhead", "solo", "decode"]) == ["decode", "prefill-512"]
    assert chosen_names(["startup", "churn"]) == ["startup", "churn"]
    with pytest.raises(SettingsError, match=r"--scenario must be .*stall.* not 'sleep'"):
        chosen_names(["sleep"])


def test_groups_and_defaults_exist() -> None:
    assert {name for names in GROUPS.values() for name in names} <= SCENARIOS.keys()
    assert set(DEFAULT) <= set(NAMES)


def test_the_raw_loop_plays_what_has_no_turns() -> None:
    raw = {name for name, scenario in SCENARIOS.items() if RAW in scenario.targets}
    assert raw == {"decode", "prefill-512", "prefill-1000", "concurrent-4", "concurrent-8"}
    for scenario in SCENARIOS.values():
        asked = scenario.on([RAW, ENGINE])
        assert asked.targets == ((RAW, ENGINE) if scenario.name in raw else (ENGINE,))
        assert asked.load == scenario.load


def test_the_context_holds_the_largest_load() -> None:
    plain = [scenario for scenario in SCENARIOS.values() if not scenario.cached]
    settings = engine_settings("m.gguf", plain, threads=3)
    assert settings.ctx_size is not None
    assert settings.ctx_size >= 8 * (235 + 32)
    assert (settings.parallel, settings.threads) == (8, 3)
    assert settings.cached_sequences == 0


def test_a_single_small_load_gets_a_small_context() -> None:
    settings = engine_settings("m.gguf", [SCENARIOS["decode"]])
    assert (settings.ctx_size, settings.parallel) == (1024, 1)


@pytest.mark.parametrize("name", ["prefix", "churn"])
def test_a_prefix_cache_is_on_where_it_is_measured(name: str) -> None:
    settings = engine_settings("m.gguf", [SCENARIOS[name]])
    assert settings.cached_sequences > 12
    assert settings.parallel == 4


def test_keys_are_unique_within_a_scenario() -> None:
    for scenario in SCENARIOS.values():
        keys = [measure.quantity.key for measure in scenario.measures]
        assert len(set(keys)) == len(keys)


def test_goals_are_of_quantities_that_exist() -> None:
    for name in GOALS.keys() & SCENARIOS.keys():
        keys = {measure.quantity.key for measure in SCENARIOS[name].measures}
        assert GOALS[name].keys() <= keys
    assert set(NAMES) >= GOALS.keys()


def test_a_goal_may_depend_on_the_model() -> None:
    assert goal_of("stall", "ttft_ratio", "llama-3.2-1b") == Goal(1.5)
    assert goal_of("stall", "ttft_ratio", "my-model") == Goal(2.2)
    assert goal_of("stall", "longest_gap", "llama-3.1-8b") is None
    assert goal_of("stall", "ttft", "llama-3.2-1b") is None
    assert goal_of("estimate", "decode", "llama-3.2-1b") is None
