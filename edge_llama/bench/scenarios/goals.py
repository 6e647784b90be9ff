"""Goals: the figures that edge_llama is held to, by scenario, quantity and shape."""

from __future__ import annotations

from edge_llama.bench.scenarios.quantity import Goal
from edge_llama.bench.scenarios.scenarios import MEMORY, RESTART, STARTUP

ANY = "any"

_1B, _8B, _15M = "llama-3.2-1b", "llama-3.1-8b", "15m"


def _of_first(bound: float) -> Goal:
    return Goal(bound, at_least=True, of_first=True)


_STALL: dict[str, dict[str, Goal | None]] = {
    "longest_gap": {ANY: Goal(0.5), _8B: None},
    "longest_gap_ratio": {_8B: Goal(4.0)},
    "ttft_ratio": {ANY: Goal(2.2), _1B: Goal(1.5)},
}

GOALS: dict[str, dict[str, dict[str, Goal | None]]] = {
    "decode": {"tokens_per_second": {_1B: _of_first(0.97), _15M: _of_first(0.75)}},
    "prefill-512": {"tokens_per_second": {_1B: _of_first(0.98)}},
    "prefill-1000": {"tokens_per_second": {_1B: _of_first(0.98)}},
    "concurrent-4": {
        "tokens_per_second": {ANY: _of_first(0.95), _15M: _of_first(0.7)},
        "p99_gap": {_1B: Goal(0.5)},
    },
    "concurrent-8": {
        "tokens_per_second": {ANY: _of_first(0.95), _15M: _of_first(0.7)},
        "p99_gap": {_1B: Goal(0.5)},
    },
    "stall": _STALL,
    "stall-335": _STALL,
    "prefix": {"warm_ratio": {ANY: Goal(1.5)}},
    "churn": {"warm_share": {ANY: Goal(1.0, at_least=True)}},
    "json": {
        "json_ratio": {_1B: Goal(1.3, at_least=True)},
        "string_ratio": {_1B: Goal(0.95, at_least=True)},
        "ended": {ANY: Goal(1.0, at_least=True)},
    },
    "deep": {"tokens_per_second": {_1B: _of_first(2.0)}},
    "many": {"tokens_per_second": {_1B: _of_first(1.7)}},
    STARTUP: {
        "health": {ANY: Goal(1.0)},
        "import": {ANY: Goal(0.1)},
        "help": {ANY: Goal(0.3)},
        "server_memory": {ANY: Goal(80e6)},
        "idle_cpu": {ANY: Goal(0.0005)},
    },
    RESTART: {
        "of_warm": {ANY: Goal(2.0)},
        "speedup": {ANY: Goal(20.0, at_least=True), _15M: None},
        "disk_share": {ANY: Goal(1.02)},
        "throughput_share": {ANY: Goal(0.97, at_least=True)},
        "gap_share": {ANY: Goal(1.1)},
    },
    MEMORY: {"engine_extra": {ANY: Goal(150e6)}},
}


def goal_of(scenario: str, key: str, model: str) -> Goal | None:
    """What a figure should reach; None if nothing was set.

    Args:
        scenario: its name.
        key: the quantity's.
        model: the name of a shape, or of a model.
    """
    by_model = GOALS.get(scenario, {}).get(key, {})
    return by_model.get(model, by_model.get(ANY))
