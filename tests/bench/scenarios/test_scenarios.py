from __future__ import annotations

import pytest

from edge_llama.bench.scenarios.goals import GOALS, goal_of
from edge_llama.bench.scenarios.quantity import Goal
from edge_llama.bench.scenarios.scenarios import (
    DEFAULT,
    GROUPS,
    NAMES,
    SCENARIOS,
    chosen_names,
    default_settings,
    engine_settings,
    streams_settings,
)
from edge_llama.bench.targets.target import DEFAULTS, ENGINE, RAW, TARGETS
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
    plain = {"decode", "prefill-512", "prefill-1000", "concurrent-4", "concurrent-8"}
    assert raw == {*plain, "deep", "many"}
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


@pytest.mark.parametrize("name", GROUPS["defaults"])
def test_only_attention_and_layout_differ_from_the_defaults(name: str) -> None:
    scenario = SCENARIOS[name]
    assert scenario.on(TARGETS).targets == (DEFAULTS, RAW, ENGINE)
    ours = streams_settings("m.gguf", scenario.load, threads=2)
    theirs = default_settings(ours, scenario.load)
    assert (ours.kv_layout, ours.flash_attention) == ("streams", False)
    assert (theirs.kv_layout, theirs.flash_attention) == ("unified", True)
    assert (ours.parallel, ours.repack, ours.kv_type) == (
        theirs.parallel,
        theirs.repack,
        theirs.kv_type,
    )
    assert ours.ctx_size is not None
    assert theirs.ctx_size is not None
    assert theirs.ctx_size <= ours.ctx_size * ours.parallel
    assert scenario.load.longest <= ours.ctx_size


def test_others_have_no_defaults_to_be_held_against() -> None:
    assert SCENARIOS["decode"].on([DEFAULTS, RAW]).targets == (RAW,)


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
