from __future__ import annotations

import pytest

from edge_llama.errors import ModelNotFound, SettingsError
from edge_llama.pool.pooled_model import PooledModel
from edge_llama.pool.registry import ModelRegistry, ServedModel
from tests.fakes import FakeEngine, model_info


def served(id: str, *aliases: str) -> ServedModel:
    return ServedModel(id, PooledModel(id, FakeEngine), aliases)


def test_ids_and_aliases_find_their_model() -> None:
    one, two = served("one", "meta-llama/Llama-3.1-8B-Instruct", "llama3.1:8b"), served("two")
    registry = ModelRegistry([one, two])
    assert list(registry) == [one, two]
    assert registry.resolve("one") is one
    assert registry.resolve("llama3.1:8b") is one
    assert registry.resolve("meta-llama/Llama-3.1-8B-Instruct") is one
    assert registry.resolve("two") is two
    assert registry.resolve("META-LLAMA/llama-3.1-8b-instruct") is one


def test_an_unknown_name_is_told_with_what_is_served() -> None:
    registry = ModelRegistry([served("one", "alias"), served("two")])
    with pytest.raises(ModelNotFound, match=r"'x' is not served here\. Served: one, two\."):
        registry.resolve("x")
    with pytest.raises(ModelNotFound) as caught:
        registry.resolve("x" * 100_000)
    assert len(str(caught.value)) < 200
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


def test_names_are_unique_and_not_empty() -> None:
    with pytest.raises(SettingsError, match="Two models are named 'One'"):
        ModelRegistry([served("one"), served("two", "One")])
    with pytest.raises(SettingsError, match="empty"):
        ModelRegistry([served("one", " ")])
    ModelRegistry([served("one", "one", "a", "A")])


def test_the_fingerprint_is_stable() -> None:
    one = served("one")
    fingerprint = one.fingerprint
    assert fingerprint.startswith("fp_")
    assert served("one").fingerprint == fingerprint
    assert served("two").fingerprint != fingerprint
    one.pooled.info = model_info(n_ctx=128)
    assert one.fingerprint != fingerprint


def test_what_the_file_tells_is_replaced_by_what_the_engine_tells() -> None:
    one = served("one")
    assert (one.context_length, one.quantization) == (None, None)
    one = ServedModel("one", one.pooled, planned_context=4096, file_quantization="Q4_K_M")
    assert (one.context_length, one.quantization) == (4096, "Q4_K_M")
    one.pooled.info = model_info(n_ctx=128)
    assert (one.context_length, one.quantization) == (128, "F32")
