from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.weights.catalog.quantization import (
    QUALITY,
    RETIRED,
    parse_quantization,
    quality_rank,
    quantization_of,
)


@pytest.mark.parametrize(
    ("filename", "quantization"),
    [
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("Meta-Llama-3.1-8B-Instruct.Q4_K_M.gguf", "Q4_K_M"),
        ("llama-3.2-1b-instruct-q8_0.gguf", "Q8_0"),
        ("Llama-3.2-1B-Instruct-f16.gguf", "F16"),
        ("ggml-model-fp16.gguf", "F16"),
        ("Llama-3.1-8B-Instruct-BF16.gguf", "BF16"),
        ("Meta-Llama-3.1-8B-Instruct-Q6_K_L.gguf", "Q6_K_L"),
        ("Meta-Llama-3.1-8B-Instruct-Q6_K.gguf", "Q6_K"),
        ("phi-4-Q4_K.gguf", "Q4_K_M"),
        ("Llama-3.2-1B-Instruct-IQ4_XS.gguf", "IQ4_XS"),
        ("Llama.i1-IQ2_XXS.gguf", "IQ2_XXS"),
        ("Llama-3.2-3B-Instruct-Q4_0.gguf", "Q4_0"),
        ("Llama-3.2-3B-Instruct-Q4_0_4_4.gguf", "Q4_0_4_4"),
        ("Llama-3.2-3B-Instruct-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("Llama-3.3-70B-Instruct-Q6_K-00001-of-00002.gguf", "Q6_K"),
        ("Q6_K/Llama-3.3-70B-Instruct-00001-of-00002.gguf", "Q6_K"),
        ("Q8_0/converted-from-f16-Q4_K_M.gguf", "Q4_K_M"),
        ("Llama-3.1-8B-Instruct-Q4_K_M_imat.gguf", "Q4_K_M"),
        ("Llama-3.1-8B-Instruct-IQ3_XXS_imatrix.gguf", "IQ3_XXS"),
        ("v-q8_0.gguf", "Q8_0"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("gpt-oss-20b-mxfp4_moe-00001-of-00002.gguf", "MXFP4"),
        ("Model-UD-TQ1_0.gguf", "UD-TQ1_0"),
        ("Bonsai-Q1_0.gguf", "Q1_0"),
        ("model.gguf", None),
        ("Llama-3.1-8B-Instruct.gguf", None),
        ("XQ4_K_M.gguf", None),
        ("Q4_K_MX.gguf", None),
    ],
)
def test_the_name_of_a_file_tells_its_quantization(filename: str, quantization: str | None) -> None:
    assert quantization_of(filename) == quantization


@given(st.sampled_from((*QUALITY, *RETIRED)), st.sampled_from((str.upper, str.lower)))
def test_every_known_name_is_read_in_any_case(name: str, case: type[str]) -> None:
    assert parse_quantization(case(name)) == name
    assert quantization_of(f"folder/Some-Model-{case(name)}-00002-of-00003.gguf") == name


@pytest.mark.parametrize(
    "text", ["", "Q4", "Q4_K_M ", "Q4_K_M_imat", "latest", "8b", "Q9_0", "instruct-q4_K_M"]
)
def test_what_is_no_quantization_is_not_taken_for_one(text: str) -> None:
    assert parse_quantization(text) is None


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("F16", "Q8_0"),
        ("Q8_0", "Q6_K_L"),
        ("Q6_K_L", "Q6_K"),
        ("Q5_K_M", "Q5_K_S"),
        ("Q4_K_M", "Q4_K_S"),
        ("Q4_K_M", "Q4_0"),
        ("IQ4_XS", "Q3_K_L"),
        ("Q3_K_M", "Q2_K"),
        ("IQ1_S", "unknown"),
        ("Q4_0", "Q4_0_4_4"),
    ],
)
def test_the_order_of_quality(better: str, worse: str) -> None:
    assert quality_rank(better) < quality_rank(worse)


def test_a_dynamic_mix_ranks_as_the_mix_it_is_of() -> None:
    assert quality_rank("UD-Q4_K_XL") == quality_rank("Q4_K_XL")


@given(st.text())
def test_any_name_is_read_without_an_error(name: str) -> None:
    quantization = quantization_of(name)
    assert quantization is None or parse_quantization(quantization) == quantization
