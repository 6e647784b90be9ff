from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_llama.errors import SettingsError
from edge_llama.llama_cpp_facts import DEEP_STEP
from edge_llama.settings.engine import FEW_SCORED_TOKENS, EngineSettings
from edge_llama.weights.memory.memory_plan import MemoryPlan, kv_types
from edge_llama.weights.memory.model_shape import ModelShape
from tests.weights.memory.shapes import GB, LLAMA_8B, NOMIC

MIB = 1 << 20


PLAIN = EngineSettings(
    model="",
    ctx_size=8192,
    micro_batch=512,
    scored_tokens=FEW_SCORED_TOKENS,
    kv_type="f16",
    kv_layout="unified",
)


def plan(*, shape: ModelShape = LLAMA_8B, **changes: Any) -> MemoryPlan:
    return MemoryPlan(shape, replace(PLAIN, **changes))


@pytest.mark.parametrize("name", ["ctx_size", "kv_type", "kv_layout"])
def test_nothing_that_matters_is_open(name: str) -> None:
    changes: dict[str, Any] = {name: None}
    with pytest.raises(SettingsError, match=f"^{name} must be chosen"):
        plan(**changes)


def test_the_kv_cache_is_what_llama_cpp_reserves() -> None:
    assert plan().kv_cache == 8192 * LLAMA_8B.layers * 2 * 1024 * 2 == 1024 * MIB
    assert plan(kv_type="q8_0").kv_cache == 544 * MIB
    assert plan(ctx_size=8000).kv_cache == 1024 * MIB  # rounded up to 256 cells


@pytest.mark.parametrize(
    ("changes", "reserved"),
    [
        ({}, 603.29),
        ({"ctx_size": 1024}, 120.24),
        ({"ctx_size": 32768}, 2273.91),
        ({"kv_type": "q8_0"}, 122.43),
        ({"kv_type": "q8_0", "ctx_size": 32768}, 147.75),
    ],
)
def test_a_step_is_what_llama_cpp_reserves(changes: dict[str, Any], reserved: float) -> None:
    """Against llama.cpp's log for this width and 512 tokens, which it rounds up to 540.

    What a step takes besides, the copy of the scores as f16, is not in that buffer.
    """
    planned = plan(**changes, shape=replace(LLAMA_8B, vocabulary=0))
    copies = 0 if planned.flash_attention else 2 * 32 * planned.cells * 512
    step = planned.address_space - planned.total + planned.compute
    assert (step - copies) / 512 == pytest.approx(reserved * MIB / 540, rel=0.05)


def test_steps_are_smaller_where_scores_are_kept() -> None:
    shape = replace(LLAMA_8B, vocabulary=0)
    short, medium, long, longest = (
        plan(shape=shape, micro_batch=256, ctx_size=ctx_size)
        for ctx_size in (1024, 2048, 65536, 131072)
    )
    assert short.compute == medium.compute
    scores, mask = LLAMA_8B.heads * (4 + 2), 4
    assert longest.compute - long.compute == DEEP_STEP * 65536 * (scores + mask)
    assert longest.address_space - longest.total > 3 * longest.compute - 4 * MIB
    flash = longest.changed(flash_attention=True)
    assert flash.address_space == flash.total


@pytest.mark.parametrize(
    ("tokens", "reserved"), [(256, 10.63), (512, 21.51), (1024, 44.01), (4096, 200.05)]
)
def test_an_encoder_reads_a_text_at_once(tokens: int, reserved: float) -> None:
    """Against llama.cpp's log. It also has room for logits, which no encoder computes."""
    planned = plan(shape=NOMIC, ctx_size=tokens, micro_batch=128)
    rows = tokens * (30_522 + 768) * 4
    assert (planned.compute - rows) / MIB == pytest.approx(reserved, rel=0.1)
    assert planned.kv_cache == 0
    assert planned.flash_attention
    several = plan(shape=NOMIC, ctx_size=64, micro_batch=tokens)
    assert several.compute == planned.compute


def test_the_plan_of_an_encoder_in_one_line() -> None:
    planned = plan(shape=NOMIC, ctx_size=512)
    assert planned.describe(14_400_000_000) == (
        "nomic-embed-text-v1.5 F16: weights 274 MB + buffers 212 MB (512 tokens) = 486 MB of "
        "14.4 GB"
    )


def test_logits_have_a_row_for_each_sequence_or_scored_token() -> None:
    few, many = plan(cached_sequences=FEW_SCORED_TOKENS), plan(cached_sequences=100)
    assert many.compute - few.compute == (100 - FEW_SCORED_TOKENS) * 4 * LLAMA_8B.vocabulary
    assert plan(cached_sequences=0).compute == few.compute
    assert plan(scored_tokens=100, cached_sequences=0).compute == many.compute


@pytest.mark.parametrize(("scored", "reserved"), [(256, 129.27), (128, 67.64)])
def test_the_logits_of_a_step_may_be_most_of_it(scored: int, reserved: float) -> None:
    """Against llama.cpp's log for the 1B, with a context too short for attention to be more."""
    shape = replace(
        LLAMA_8B, embedding_length=2048, feed_forward_length=8192, layers=16, kv_heads=8 * 16
    )
    planned = plan(shape=shape, ctx_size=1024, micro_batch=256, scored_tokens=scored)
    kept = shape.vocabulary * (4 * (4 + scored) + 4 * 13)
    assert (planned.compute - kept) / MIB == pytest.approx(reserved, rel=0.05)


def test_streams_reserve_the_context_for_each_request() -> None:
    streams = plan(kv_layout="streams", parallel=3)
    assert streams.kv_cache == 3 * plan().kv_cache
    # Tokens attend to their own stream, and prefixes are kept where nobody runs.
    unified = plan(parallel=3, cached_sequences=FEW_SCORED_TOKENS + 8)
    logits = 8 * 4 * LLAMA_8B.vocabulary
    assert streams.compute == unified.compute - logits
    assert "KV cache 3.22 GB (3 x 8,192 tokens, f16)" in streams.describe(14_400_000_000)


def test_the_total_is_the_sum_of_all() -> None:
    p = plan()
    assert p.total == p.weights + p.kv_cache + p.compute + p.process
    assert p.weights == LLAMA_8B.weight_bytes
    assert 0.1 * GB < p.process < 0.2 * GB


def test_only_a_quantized_cache_needs_flash_attention() -> None:
    assert not plan().flash_attention
    assert plan(kv_type="q8_0").flash_attention


def test_a_plan_is_told_in_one_line() -> None:
    assert plan(micro_batch=128).describe(14_400_000_000) == (
        "Llama 3.1 8B Instruct Q4_K_M: weights 4.91 GB + KV cache 1.07 GB (8,192 tokens, f16) + "
        "buffers 286 MB = 6.27 GB of 14.4 GB"
    )


def test_repacked_weights_are_there_twice() -> None:
    repacked = plan(repack=True)
    assert repacked.total == plan().total + plan().weights
    assert "weights 4.91 GB + repacked 4.91 GB + KV cache" in repacked.describe(14_400_000_000)


def test_flash_attention_can_be_preferred() -> None:
    preferred = plan(flash_attention=True)
    assert preferred.flash_attention
    assert preferred.kv_cache == plan().kv_cache
    assert preferred.compute == plan(kv_type="q8_0").compute


def test_heads_that_are_no_whole_blocks_are_not_quantized() -> None:
    assert kv_types(LLAMA_8B) == ("f16", "q8_0")
    assert kv_types(replace(LLAMA_8B, value_length=80)) == ("f16",)
