"""Scenarios: the loads that are put on targets, and what is measured of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge_llama.bench.load import load as loads
from edge_llama.bench.load.load import Load
from edge_llama.bench.scenarios.measures import (
    DECODE,
    MEDIAN_TTFT,
    P99_GAP,
    PREFILL,
    THROUGHPUT,
    TOGETHER,
    Measure,
    churn_measures,
    form_measures,
    newcomer_measures,
    prefix_measures,
)
from edge_llama.bench.targets.target import DEFAULTS, ENGINE, RAW, SERVER, URL
from edge_llama.errors import SettingsError
from edge_llama.settings.engine import EngineSettings

MIN_CTX_SIZE = 1024
PARALLEL = 4
APART = 0.02
"""Seconds between clients that come at once."""

CONVERSATIONS = 12
JSON_TOKENS = 120
LONGEST_STALL = 3600.0

PLAIN = (RAW, ENGINE, SERVER, URL)
SERVERS = (SERVER, URL)
SERVERS_AND_ENGINE = (ENGINE, SERVER, URL)
AGAINST_DEFAULTS = (DEFAULTS, RAW, ENGINE)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load and its figures.

    Attributes:
        name: for `--scenario` and JSON.
        title: for people.
        load: what is asked.
        measures: what is read off each run; the first is the one that counts.
        targets: names of those it is for: where requests wait for each other, the raw loop cannot
            play it, and the engine shows what the server does.
        cached: needs the prefix cache; what a prefix cache keeps costs attention in every step, so
            it is off for the others.
        against_defaults: shows what flash attention off and streams gain over how llama.cpp uses
            its KV cache by default.
    """

    name: str
    title: str
    load: Load
    measures: tuple[Measure, ...]
    targets: tuple[str, ...] = PLAIN
    cached: bool = False
    against_defaults: bool = False

    def on(self, targets: Sequence[str]) -> Scenario:
        """The same for these targets, as far as they can play it."""
        if self.against_defaults:
            able = [name for name in targets if name in AGAINST_DEFAULTS]
        else:
            without_turns = self.load.independent
            able = [name for name in targets if name in PLAIN and (name != RAW or without_turns)]
        return replace(self, targets=tuple(able))


def _concurrent(clients: int) -> Scenario:
    return Scenario(
        f"concurrent-{clients}",
        f"{clients} clients, 235 + 32 tokens each",
        loads.concurrent(clients, 235, 32, APART),
        (THROUGHPUT, P99_GAP, MEDIAN_TTFT),
    )


def _prefill(tokens: int) -> Scenario:
    return Scenario(
        f"prefill-{tokens}", f"a prompt of {tokens:,} tokens", loads.solo(tokens, 1), (PREFILL,)
    )


def _stall(name: str, tokens: int) -> Scenario:
    title = f"a prompt of {tokens:,} tokens comes into a running stream"
    return Scenario(name, title, loads.newcomer(tokens), newcomer_measures(), SERVERS)


def _against_defaults(name: str, title: str, load: Load, measure: Measure) -> Scenario:
    title += ", against llama.cpp's defaults"
    measures = (measure, MEDIAN_TTFT)
    return Scenario(name, title, load, measures, AGAINST_DEFAULTS, against_defaults=True)


DECODE_SCENARIO = Scenario("decode", "one stream of 64 tokens", loads.solo(16, 64), (DECODE,))

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        DECODE_SCENARIO,
        _prefill(512),
        _prefill(1000),
        _concurrent(4),
        _concurrent(8),
        _stall("stall", 1000),
        _stall("stall-335", 335),
        Scenario(
            "prefix",
            "two questions after the same 841 tokens",
            loads.same_system_prompt(841, 24),
            prefix_measures(),
            SERVERS,
            cached=True,
        ),
        Scenario(
            "churn",
            f"second turns of {CONVERSATIONS} conversations, with --parallel {PARALLEL}",
            loads.conversations(CONVERSATIONS, 64, 16),
            churn_measures(CONVERSATIONS),
            SERVERS,
            cached=True,
        ),
        Scenario(
            "json",
            "an order of six fields, and free text",
            loads.forms(JSON_TOKENS),
            form_measures(JSON_TOKENS),
            SERVERS_AND_ENGINE,
        ),
        _against_defaults("deep", "decode after 3,000 tokens", loads.solo(3000, 32), DECODE),
        _against_defaults(
            "many", "8 clients, 768 + 48 tokens each", loads.concurrent(8, 768, 48, 0.0), TOGETHER
        ),
    )
}

STARTUP, MEMORY, RESTART = "startup", "memory", "restart"
"""What is measured of a server of our own, without a load of the above."""

GROUPS = {
    "solo": ("decode", "prefill-512"),
    "concurrent": ("concurrent-4", "concurrent-8"),
    "overhead": ("decode",),
    "defaults": ("deep", "many"),
}
"""Names that stand for several scenarios, or for a part of what one shows."""

DEFAULT = ("decode", "prefill-512", "concurrent-4", "stall", "prefix", "churn", STARTUP)
"""About five minutes for a 1B model on two cores."""

NAMES = (*GROUPS, *SCENARIOS, STARTUP, MEMORY, RESTART)


def chosen_names(names: Sequence[str]) -> list[str]:
    """The scenarios that the user's names stand for, each once; without a name the default ones.

    Raises:
        SettingsError: there is no scenario of that name.
    """
    found: list[str] = []
    for name in names or DEFAULT:
        if name not in NAMES:
            raise SettingsError(f"--scenario must be one of {', '.join(NAMES)}, not {name!r}.")
        found += GROUPS.get(name, (name,))
    return list(dict.fromkeys(found))


def engine_settings(
    model: str, scenarios: Sequence[Scenario], threads: int | None = None
) -> EngineSettings:
    """The settings that all targets run some scenarios with: room for the largest load.

    Args:
        scenarios: all with a prefix cache or all without one.
    """
    cached = any(scenario.cached for scenario in scenarios)
    settings = EngineSettings(
        model=model,
        ctx_size=max(MIN_CTX_SIZE, *(scenario.load.cells for scenario in scenarios)),
        parallel=PARALLEL if cached else max(scenario.load.clients for scenario in scenarios),
        threads=threads,
    )
    return settings if cached else replace(settings, cached_sequences=0)


def streams_settings(model: str, load: Load, threads: int | None = None) -> EngineSettings:
    """How edge_llama runs a load of `against_defaults`: all prompts are read first, as the raw loop
    does it, and weights are repacked, as llama.cpp does by default.
    """
    return EngineSettings(
        model=model,
        ctx_size=max(MIN_CTX_SIZE, load.longest),
        parallel=load.clients,
        threads=threads,
        max_stall=LONGEST_STALL,
        cached_sequences=0,
        kv_type="f16",
        kv_layout="streams",
        flash_attention=False,
        repack=True,
    )


def default_settings(settings: EngineSettings, load: Load) -> EngineSettings:
    """The same as llama.cpp runs by default (`llama_context_default_params`, and its server's one
    cache for all).
    """
    return replace(
        settings,
        ctx_size=max(MIN_CTX_SIZE, load.cells),
        batch_size=2048,
        micro_batch=512,
        kv_layout="unified",
        flash_attention=True,
    )
