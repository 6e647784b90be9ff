from __future__ import annotations

import pytest

from edge_llama.cli.serve.aliases import assign_aliases
from edge_llama.errors import SettingsError
from edge_llama.planning.named import NamedModel

ONE = NamedModel("models/one.gguf", "one", ("llama3.1:8b", "meta/llama"))
TWO = NamedModel("two", "two", ("llama3.2:1b",))


def test_a_name_alone_is_the_only_models() -> None:
    assert assign_aliases([ONE], ["a", "b=c"]) == [("a", "b=c", "llama3.1:8b", "meta/llama")]


@pytest.mark.parametrize("model", ["models/one.gguf", "one", "llama3.1:8b"])
def test_a_model_is_told_by_any_of_its_names(model: str) -> None:
    aliases = assign_aliases([ONE, TWO], [f"{model}=x", "two=y", "two=z=1"])
    assert aliases == [("x", "llama3.1:8b", "meta/llama"), ("y", "z=1", "llama3.2:1b")]
    assert assign_aliases([ONE], [f"{model}=x"])[0][0] == "x"


@pytest.mark.parametrize("option", ["x", "three=x", "=x", "on=x"])
def test_a_name_that_could_be_anyones_is_refused(option: str) -> None:
    with pytest.raises(SettingsError, match=r"which model it names.*MODEL=NAME.*: one, two\."):
        assign_aliases([ONE, TWO], [option])


def test_what_two_models_are_known_as_goes_to_the_first() -> None:
    q4 = NamedModel("q4", "llama-8b:Q4_K_M", ("llama3.1:8b", "llama"))
    q8 = NamedModel("q8", "llama-8b:Q8_0", ("llama3.1:8b", "llama"))
    assert assign_aliases([q4, q8], []) == [("llama3.1:8b", "llama"), ()]
    assert assign_aliases([q4, q8], ["q8=llama"]) == [("llama3.1:8b",), ("llama",)]


def test_an_id_is_no_other_models_alias() -> None:
    other = NamedModel("other", "other", ("one",))
    assert assign_aliases([other, ONE], [])[0] == ()


def test_what_a_model_was_asked_for_by_is_its_own() -> None:
    q8 = NamedModel("llama:q8_0", "llama:Q8_0", ("llama:q8_0", "llama3.1:8b", "llama"))
    q4 = NamedModel("Llama", "llama:Q4_K_M", ("Llama", "llama3.1:8b", "llama"))
    assert assign_aliases([q8, q4], []) == [("llama3.1:8b",), ("Llama",)]
