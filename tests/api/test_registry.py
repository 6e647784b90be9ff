from __future__ import annotations

import pytest

from edge_llama.api.registry import ModelRegistry, ServedModel
from edge_llama.chat.model import ChatModel
from edge_llama.errors import ModelNotFound, SettingsError
from tests.fakes import FakeEngine


def served(id: str, *aliases: str) -> ServedModel:
    return ServedModel(id, ChatModel(FakeEngine()), aliases)


def test_ids_and_aliases_find_their_model() -> None:
    one, two = served("one", "meta-llama/Llama-3.1-8B-Instruct", "llama3.1:8b"), served("two")
    registry = ModelRegistry([one, two])
    assert list(registry) == [one, two]
    assert registry.resolve("one") is one
    assert registry.resolve("llama3.1:8b") is one
    assert registry.resolve("meta-llama/Llama-3.1-8B-Instruct") is one
    assert registry.resolve("two") is two


def test_an_unknown_name_is_told_with_what_is_served() -> None:
    registry = ModelRegistry([served("one", "alias"), served("two")])
    with pytest.raises(ModelNotFound, match=r"The model 'x' is not served here\. Served: one, ali"):
        registry.resolve("x")
    with pytest.raises(ModelNotFound) as caught:
        registry.resolve("x" * 100_000)
    assert len(str(caught.value)) < 200
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


def test_names_are_unique_and_not_empty() -> None:
    with pytest.raises(SettingsError, match="Two models are named 'one'"):
        ModelRegistry([served("one"), served("two", "one")])
    with pytest.raises(SettingsError, match="empty"):
        ModelRegistry([served("one", " ")])
    ModelRegistry([served("one", "one", "a", "a")])


def test_the_fingerprint_is_stable() -> None:
    one = served("one")
    assert one.fingerprint is one.fingerprint
    assert served("one").fingerprint == one.fingerprint
    assert served("one").fingerprint != served("two").fingerprint
    assert served("one").fingerprint.startswith("fp_")
