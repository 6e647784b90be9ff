from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.errors import DoesNotFit
from edge_llama.settings.engine import (
    CHOOSE_ALL,
    FEW_SCORED_TOKENS,
    SCORED_TOKENS,
    EngineSettings,
)
from edge_llama.weights.catalog.catalog import CatalogModel, load_catalog
from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.memory.fit import choose_variant, plan_memory
from edge_llama.weights.memory.memory_plan import MemoryPlan
from tests.weights.memory.shapes import GB, LLAMA_8B, NOMIC

CATALOG = load_catalog(Path("no such file"))


def in_catalog(id: str) -> CatalogModel:
    model = CATALOG.find(id)
    assert model is not None
    return model


def variant(quantization: str, size: int | None, repository: str = "a/b") -> Variant:
    return Variant(repository, quantization, (WeightFile(f"m-{quantization}.gguf", size),))


def with_variants(*variants: Variant) -> CatalogModel:
    return replace(in_catalog("llama-3.1-8b-instruct"), variants=variants)


EIGHT_B = with_variants(
    variant("F16", 16_068_891_552),
    variant("Q8_0", 8_540_771_232),
    variant("Q4_K_M", 4_920_734_272),
    variant("Q4_K_S", 4_692_669_344),
    variant("Q3_K_M", 4_018_918_304),
    variant("Q2_K", 3_179_131_808),
    variant("IQ1_S", 2_019_633_056),
)


def given_settings(**settings: Any) -> EngineSettings:
    return replace(CHOOSE_ALL, **settings)


def sizes(plan: MemoryPlan) -> tuple[int, str, int]:
    return plan.ctx_size, plan.kv_type, plan.settings.micro_batch


def refusal(budget: float, **options: Any) -> str:
    with pytest.raises(DoesNotFit) as caught:
        plan_memory(LLAMA_8B, int(budget * GB), given_settings(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestPlan:
    @pytest.mark.parametrize(
        ("budget", "expected"),
        [
            (256, (16384, "f16", 256)),  # more would make the KV cache as large as the weights
            (8, (16384, "f16", 256)),
            (6, (4096, "f16", 256)),
            (5.5, (4096, "q8_0", 256)),
            (5.27, (2048, "q8_0", 128)),
            (5.20, (1024, "q8_0", 128)),
        ],
    )
    def test_the_context_follows_the_memory(
        self, budget: float, expected: tuple[int, str, int]
    ) -> None:
        assert sizes(plan_memory(LLAMA_8B, int(budget * GB))) == expected

    def test_a_small_model_gets_a_modest_context_whatever_its_weights(self) -> None:
        tiny = replace(LLAMA_8B, weight_bytes=3_000_000)
        assert plan_memory(tiny, 18 * GB).ctx_size == 8192

    @pytest.mark.parametrize("own", [512, 2048, 6000])
    def test_the_models_own_context_is_the_most(self, own: int) -> None:
        shape = replace(LLAMA_8B, context_length=own)
        assert plan_memory(shape, 256 * GB).ctx_size == own

    def test_a_context_that_is_asked_for_is_kept(self) -> None:
        assert sizes(plan_memory(LLAMA_8B, 16 * GB, given_settings(ctx_size=32768))) == (
            32768,
            "f16",
            256,
        )
        assert sizes(plan_memory(LLAMA_8B, 9 * GB, given_settings(ctx_size=32768))) == (
            32768,
            "q8_0",
            256,
        )

    def test_streams_that_are_asked_for_get_the_context_that_fits_for_all(self) -> None:
        plan = plan_memory(LLAMA_8B, 16 * GB, given_settings(kv_layout="streams", parallel=4))
        assert (plan.ctx_size, plan.kv_layout) == (4096, "streams")
        text = refusal(8, kv_layout="streams", ctx_size=16384)
        assert "with 4 x 16,384 tokens of context it takes" in text
        assert text.endswith("A smaller `parallel` or `kv_layout` unified needs less.")

    def test_preferred_streams_give_way_to_the_context(self) -> None:
        plans = {
            budget: plan_memory(
                LLAMA_8B, budget * GB, given_settings(ctx_size=8192), prefer_streams=True
            )
            for budget in (8, 16)
        }
        assert [plan.kv_layout for plan in plans.values()] == ["unified", "streams"]
        kept = plan_memory(
            LLAMA_8B, 16 * GB, given_settings(kv_layout="unified"), prefer_streams=True
        )
        assert kept.kv_layout == "unified"

    def test_a_kv_type_that_is_asked_for_is_kept(self) -> None:
        assert plan_memory(LLAMA_8B, 16 * GB, given_settings(kv_type="q8_0")).kv_type == "q8_0"

    def test_heads_of_odd_size_are_never_quantized(self) -> None:
        odd = replace(LLAMA_8B, key_length=80)
        assert sizes(plan_memory(odd, int(5.3 * GB)))[:2] == (1024, "f16")

    def test_the_micro_batch_is_no_larger_than_the_batch(self) -> None:
        assert (
            plan_memory(LLAMA_8B, 16 * GB, given_settings(batch_size=64)).settings.micro_batch == 64
        )

    def test_what_does_not_fit_is_refused_with_numbers(self) -> None:
        said = refusal(4)
        assert "Llama 3.1 8B Instruct Q4_K_M does not fit into 4.00 GB of memory" in said
        assert "with 1,024 tokens of context it takes 5.19 GB (weights 4.91 GB, " in said
        assert said.endswith("Choose a smaller quantization or model, or give it more `memory`.")

    def test_a_context_that_does_not_fit_is_refused_with_the_largest_that_does(self) -> None:
        said = refusal(8, ctx_size=131072)
        assert "with 131,072 tokens of context it takes 14.3 GB" in said
        largest = re.findall(r"`ctx_size` (\d+) \(KV cache (\w+)\)", said)
        assert [kv_type for _, kv_type in largest] == ["f16", "q8_0"]
        for size, kv_type in largest:
            assert (
                plan_memory(LLAMA_8B, 8 * GB, given_settings(ctx_size=int(size))).kv_type == kv_type
            )
            refusal(8, ctx_size=int(size) + 256, kv_type=kv_type)
        assert "q8_0" not in refusal(8, ctx_size=131072, kv_type="f16")

    @given(
        budget=st.integers(1, 64 * GB),
        weights=st.integers(1, 40 * GB),
        ctx_size=st.none() | st.integers(64, 1 << 20),
        parallel=st.integers(1, 64),
        own=st.integers(64, 1 << 20),
    )
    def test_a_plan_keeps_its_promises(
        self, budget: int, weights: int, ctx_size: int | None, parallel: int, own: int
    ) -> None:
        shape = replace(LLAMA_8B, weight_bytes=weights, context_length=own)
        try:
            plan = plan_memory(shape, budget, given_settings(ctx_size=ctx_size, parallel=parallel))
        except DoesNotFit:
            smallest = MemoryPlan(
                shape,
                given_settings(
                    ctx_size=ctx_size or min(own, 1024),
                    parallel=parallel,
                    micro_batch=128,
                    scored_tokens=FEW_SCORED_TOKENS,
                    kv_type="q8_0",
                    kv_layout="unified",
                ),
            )
            assert smallest.total > budget
        else:
            assert plan.total <= budget
            assert plan.ctx_size == (ctx_size or min(plan.ctx_size, own))

    def test_prompts_are_scored_fast_only_with_what_is_left(self) -> None:
        chosen = plan_memory(LLAMA_8B, 24 * GB, given_settings(ctx_size=8192))
        assert chosen.settings.scored_tokens == SCORED_TOKENS
        tight = plan_memory(LLAMA_8B, chosen.total - 1, given_settings(ctx_size=8192))
        assert tight.settings.scored_tokens == FEW_SCORED_TOKENS
        assert sizes(tight) == sizes(chosen)

    def test_weights_are_repacked_only_into_what_is_left(self) -> None:
        chosen = plan_memory(LLAMA_8B, 24 * GB, given_settings(ctx_size=8192, repack=True))
        assert chosen.settings.repack
        least = chosen.changed(scored_tokens=FEW_SCORED_TOKENS).total
        tight = plan_memory(LLAMA_8B, least - 1, given_settings(ctx_size=8192, repack=True))
        assert not tight.settings.repack
        assert sizes(tight) == sizes(chosen)

    @pytest.mark.parametrize(("wanted", "expected"), [(512, 512), (128, 128), (4096, 512)])
    def test_a_micro_batch_can_be_asked_for(self, wanted: int, expected: int) -> None:
        chosen = plan_memory(LLAMA_8B, 24 * GB, given_settings(ctx_size=8192, micro_batch=wanted))
        assert chosen.settings.micro_batch == expected

    def test_a_larger_micro_batch_yields_to_the_context(self) -> None:
        large = plan_memory(LLAMA_8B, 24 * GB, given_settings(ctx_size=8192, micro_batch=512))
        least = large.changed(scored_tokens=FEW_SCORED_TOKENS).total
        tight = plan_memory(LLAMA_8B, least - 1, given_settings(ctx_size=8192, micro_batch=512))
        assert sizes(tight) == (8192, "f16", 256)

    def test_flash_attention_can_be_preferred(self) -> None:
        chosen = plan_memory(LLAMA_8B, 24 * GB, given_settings(ctx_size=8192, flash_attention=True))
        assert chosen.kv_type == "f16"
        assert chosen.flash_attention


class TestEncoders:
    MANY_TOKENS = replace(NOMIC, vocabulary=250_000, context_length=8192)
    """As multilingual ones have: a row of logits takes 1 MB."""

    def test_they_get_all_of_their_context(self) -> None:
        assert plan_memory(NOMIC, 4 * GB).ctx_size == 2048
        assert plan_memory(replace(NOMIC, context_length=512), GB).ctx_size == 512

    @pytest.mark.parametrize(("budget", "expected"), [(30, 8192), (8, 2048), (2, 512), (1, 512)])
    def test_or_what_a_third_of_the_memory_has_room_for(self, budget: int, expected: int) -> None:
        assert plan_memory(self.MANY_TOKENS, budget * GB).ctx_size == expected

    def test_no_more_than_they_have_positions_for(self) -> None:
        assert plan_memory(NOMIC, 4 * GB, given_settings(ctx_size=8192)).ctx_size == 2048
        assert plan_memory(NOMIC, 4 * GB, given_settings(ctx_size=300)).ctx_size == 300

    def test_what_is_for_a_kv_cache_says_nothing_to_them(self) -> None:
        planned = plan_memory(NOMIC, 4 * GB, given_settings(kv_type="q8_0", kv_layout="streams"))
        assert planned == plan_memory(NOMIC, 4 * GB)

    def test_a_refusal_names_what_would_fit(self) -> None:
        with pytest.raises(DoesNotFit) as caught:
            plan_memory(self.MANY_TOKENS, 2 * GB, given_settings(ctx_size=8192))
        said = str(caught.value)
        assert "KV cache" not in said
        largest = re.search(r"What fits: `ctx_size` (\d+)\.", said)
        assert largest is not None
        assert (
            plan_memory(self.MANY_TOKENS, 2 * GB, given_settings(ctx_size=int(largest[1]))).total
            <= 2 * GB
        )


class TestChoice:
    @pytest.mark.parametrize(
        ("budget", "expected"),
        [
            (256, "Q4_K_M"),
            (6, "Q4_K_M"),
            (5.2, "Q4_K_S"),
            (4.7, "Q3_K_M"),
            (3.8, "Q2_K"),
        ],
    )
    def test_the_best_that_fits(self, budget: float, expected: str) -> None:
        assert choose_variant(EIGHT_B, int(budget * GB)).quantization == expected

    def test_a_useful_context_comes_before_better_weights(self) -> None:
        budget = int(5.27 * GB)  # Q4_K_M would fit with 2,048 tokens
        assert plan_memory(LLAMA_8B, budget).ctx_size == 2048
        assert choose_variant(EIGHT_B, budget).quantization == "Q4_K_S"
        alone = with_variants(variant("Q4_K_M", LLAMA_8B.weight_bytes))
        assert choose_variant(alone, budget).quantization == "Q4_K_M"

    def test_larger_ones_are_for_models_that_have_no_other(self) -> None:
        model = with_variants(variant("F16", 16 * GB), variant("Q8_0", 8 * GB))
        assert choose_variant(model, 64 * GB).quantization == "Q8_0"

    def test_what_is_worse_than_q2_k_is_not_chosen_unasked(self) -> None:
        with pytest.raises(DoesNotFit):
            choose_variant(EIGHT_B, 3 * GB)
        only = with_variants(variant("IQ1_S", 2_019_633_056))
        assert choose_variant(only, 3 * GB).quantization == "IQ1_S"

    def test_of_equals_the_first_repository_is_taken(self) -> None:
        first, second = (variant("Q4_K_M", 5 * GB, repository) for repository in ("a/b", "c/d"))
        assert choose_variant(with_variants(first, second), 64 * GB) is first

    def test_an_unknown_size_is_only_taken_if_none_is_known(self) -> None:
        unknown, known = variant("Q4_K_M", None), variant("Q3_K_M", 4 * GB)
        assert choose_variant(with_variants(unknown, known), 64 * GB) is known
        assert choose_variant(with_variants(unknown), GB) is unknown

    def test_without_dimensions_the_weights_are_judged(self) -> None:
        model = replace(EIGHT_B, architecture=None)
        assert choose_variant(model, 7 * GB).quantization == "Q4_K_M"
        assert choose_variant(model, 6 * GB).quantization == "Q4_K_S"
        with pytest.raises(DoesNotFit):
            choose_variant(model, 3 * GB)

    def test_a_refusal_names_what_would_fit(self) -> None:
        with pytest.raises(DoesNotFit) as caught:
            choose_variant(in_catalog("llama-3.3-70b-instruct"), 6 * GB, CATALOG.models)
        said = str(caught.value)
        assert "Llama 3.3 70B Instruct does not fit into 6.00 GB of memory" in said
        assert "What fits: llama-3.1-8b-instruct as Q4_K_M (4.92 GB), llama-3.2-3b" in said
        assert "`memory`" in said
        with pytest.raises(DoesNotFit, match="Choose a smaller model"):
            choose_variant(EIGHT_B, GB // 2)

    def test_a_model_without_weights_is_refused(self) -> None:
        with pytest.raises(DoesNotFit, match="no weights"):
            choose_variant(with_variants(), GB)
