from __future__ import annotations

from dataclasses import replace

from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.settings.engine import CHOOSE_ALL, EngineSettings
from edge_llama.weights.memory.fit import plan_memory
from tests.tune.tuning import DEFAULT, FLASH, Q8_0, SHAPE

SETTINGS = EngineSettings(model="m.gguf")


def test_it_becomes_settings_and_back() -> None:
    candidate = replace(Q8_0, repack=True, micro_batch=128)
    assert Candidate.of(candidate.apply(SETTINGS)) == candidate


def test_threads_that_were_given_stay() -> None:
    given = DEFAULT.apply(replace(SETTINGS, threads=2))
    assert (given.threads, given.threads_batch) == (2, None)
    given = DEFAULT.apply(replace(SETTINGS, threads_batch=3))
    assert (given.threads, given.threads_batch) == (4, 3)


def test_what_was_said_of_the_kv_cache_stays() -> None:
    streams = replace(Q8_0, kv_layout="streams")
    given = streams.apply(replace(SETTINGS, kv_type="f16", kv_layout="unified"))
    assert (given.kv_type, given.kv_layout, given.flash_attention) == ("f16", "unified", False)
    given = DEFAULT.apply(replace(SETTINGS, kv_type="q8_0"))
    assert (given.kv_type, given.flash_attention) == ("q8_0", True)
    given = streams.apply(SETTINGS)
    assert (given.kv_type, given.kv_layout, given.flash_attention) == ("q8_0", "streams", True)


def test_memory_counts_repacked_weights_and_a_smaller_cache() -> None:
    plan = plan_memory(SHAPE, 24_000_000_000, replace(CHOOSE_ALL, ctx_size=8192))
    default = DEFAULT.memory(plan)
    assert default == plan.total
    assert replace(DEFAULT, repack=True).memory(plan) == default + SHAPE.weight_bytes
    assert Q8_0.memory(plan) < FLASH.memory(plan) <= default


def test_it_says_what_is_different() -> None:
    assert Q8_0.changes(FLASH) == "KV cache q8_0"
    assert Q8_0.changes(DEFAULT) == "flash attention on, KV cache q8_0"
    assert Q8_0.changes(Q8_0) == ""
    assert str(replace(Q8_0, repack=True)) == (
        "flash attention on, KV cache q8_0, KV layout unified, weights repacked, mmap on, "
        "4 threads, 8 for prompts, micro-batch 256"
    )
