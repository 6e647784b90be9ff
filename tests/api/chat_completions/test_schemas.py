from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_llama.api.chat_completions.schemas import ChatCompletionRequest, parse_chat_request
from edge_llama.api.request.sampling import MAX_BIASES, SampledRequest
from edge_llama.api.request.unsupported import HARMLESS_VALUES
from edge_llama.chat.messages import ChatRequest
from edge_llama.engine.protocol.grammar import CFG, JSONSchema, Regex
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.engine.protocol.sampling_params import MAX_SEED, SamplingParams
from edge_llama.errors import InvalidValue, RequestError, UnsupportedParameter

BASE: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}


def parse(**fields: Any) -> ChatRequest:
    return parse_chat_request(BASE | fields, max_n=8).to_chat_request()


def refusal(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    return caught.value


def test_the_defaults_are_those_of_sampling_params() -> None:
    request = parse()
    assert request.options.sampling == SamplingParams(temperature=0.6, top_p=0.9)
    assert (request.options.max_tokens, request.options.n, request.stop) == (None, 1, ())


def test_every_sampling_parameter_can_be_asked_for() -> None:
    assert {*SamplingParams.__struct_fields__} <= {*SampledRequest.model_fields}


def test_every_sampling_field_arrives() -> None:
    assert parse(
        temperature=0,
        top_p=0.5,
        top_k=40,
        min_p=0.05,
        frequency_penalty=-1,
        presence_penalty=1.5,
        repetition_penalty=1.1,
        seed=7,
        logit_bias={"12": -100, "0": 1.5, "5": None},
        ignore_eos=True,
    ).options.sampling == SamplingParams(
        temperature=0,
        top_p=0.5,
        top_k=40,
        min_p=0.05,
        frequency_penalty=-1,
        presence_penalty=1.5,
        repetition_penalty=1.1,
        seed=7,
        logit_bias={12: -100, 0: 1.5},
        ignore_eos=True,
    )


def test_null_is_absent() -> None:
    fields = dict.fromkeys(ChatCompletionRequest.model_fields.keys() - BASE.keys())
    assert parse(**fields, **dict.fromkeys(HARMLESS_VALUES)) == parse()


def test_unknown_and_ignorable_keys_are_ignored() -> None:
    ignorable = (
        "store metadata user safety_identifier prompt_cache_key prompt_cache_options service_tier "
        "prompt_cache_retention reasoning_effort verbosity prediction what_is_this"
    )
    values: list[Any] = [True, "x", -1, 0.5, 2**63, [], {"a": 1}]
    for value in values:
        assert parse(**dict.fromkeys(ignorable.split(), value)) == parse()
    assert parse(modalities=["text"]) == parse()
    assert parse(stream=True, stream_options={"include_obfuscation": 5}) == parse()


def test_only_the_tier_flex_makes_a_difference() -> None:
    assert parse(service_tier="flex").options.tier is ServiceTier.FLEX
    for tier in ("auto", "default", "priority", "scale", None):
        assert parse(service_tier=tier).options.tier is ServiceTier.DEFAULT


def test_max_completion_tokens_wins() -> None:
    assert parse(max_tokens=5).options.max_tokens == 5
    assert parse(max_tokens=5, max_completion_tokens=9).options.max_tokens == 9
    assert parse(max_tokens=-1).options.max_tokens is None
    assert parse(max_tokens=-2).options.max_tokens is None
    assert parse(max_tokens=5, max_completion_tokens=-1).options.max_tokens == 5
    assert parse(max_tokens=2**63 - 1).options.max_tokens == 2**31 - 1


def test_repeat_penalty_is_another_name() -> None:
    assert parse(repeat_penalty=1.3).options.sampling.repetition_penalty == 1.3
    both = parse(repeat_penalty=1.3, repetition_penalty=1.2)
    assert both.options.sampling.repetition_penalty == 1.2
    assert refusal(repeat_penalty=-1).param == "repeat_penalty"
    assert refusal(repetition_penalty=-1).param == "repetition_penalty"
    assert parse(repeat_penalty=0, repetition_penalty=0.0).options.sampling.repetition_penalty == 1


def test_top_k_of_minus_one_keeps_all() -> None:
    assert parse(top_k=-1).options.sampling.top_k == 0


@pytest.mark.parametrize("seed", [0, 1, -2, 2**32, 2**63 - 1, -(2**63)])
def test_any_64_bit_seed_is_folded(seed: int) -> None:
    folded = parse(seed=seed).options.sampling.seed
    assert folded is not None
    assert 0 <= folded <= MAX_SEED


@pytest.mark.parametrize("seed", [-1, 2**32 - 1, 4294967295.0, None])
def test_seeds_of_other_servers_that_ask_for_another_one_each_time(seed: float | None) -> None:
    assert parse(seed=seed).options.sampling.seed is None


def test_stop_is_a_string_or_a_list() -> None:
    assert parse(stop="END").stop == ("END",)
    assert parse(stop=["a", "b", "c", "d", "e"]).stop == ("a", "b", "c", "d", "e")
    for nothing in ([], "", [""], None):
        assert parse(stop=nothing).stop == ()
    assert parse(stop=["a", ""]).stop == ("a",)


@pytest.mark.parametrize(
    ("stop", "param", "text"),
    [
        (["a", 5], "stop[1]", "must be a string"),
        (5, "stop", "must be a string or a list of strings"),
        (["x"] * 10_000, "stop", "at most 256 entries"),
        ("a\0", "stop", "NUL"),
    ],
)
def test_bad_stops(stop: Any, param: str, text: str) -> None:
    error = refusal(stop=stop)
    assert (error.param, error.code) == (param, "invalid_value")
    assert text in error.message
    assert len(error.message) < 200


@pytest.mark.parametrize(
    "bias",
    [
        {"-1": 1},
        {"1.5": 1},
        {"a" * 100_000: 1},
        {"٣": 1},
        {"9" * 30: 1},
        {"1": 101},
        {"1": "5"},
        {"1": True},
        {"1": 10**400},
        [["1", 5]],
        [[1]],
        [5],
        True,
        "1",
        5,
    ],
)
def test_bad_logit_biases(bias: Any) -> None:
    error = refusal(logit_bias=bias)
    assert (error.param, error.code) == ("logit_bias", "invalid_value")
    assert len(error.message) < 200


def test_logit_bias_is_taken_in_llama_servers_forms_too() -> None:
    assert parse(logit_bias=[[5, 1.5], [7, False]]).options.sampling.logit_bias == {5: 1.5, 7: -100}
    nothings: list[Any] = [[], {}, False, None]
    for nothing in nothings:
        assert parse(logit_bias=nothing).options.sampling.logit_bias == {}


def test_logit_bias_has_room_for_the_tokens_of_a_script() -> None:
    biases = {str(token): -100 for token in range(MAX_BIASES + 1)}
    error = refusal(logit_bias=biases)
    assert error.param == "logit_bias"
    assert "at most 16384 entries" in error.message
    assert "regex" in error.message
    del biases["0"]
    assert len(parse(logit_bias=biases).options.sampling.logit_bias) == MAX_BIASES


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("model", None, "model is required."),
        ("model", 5, "model must be a string."),
        ("model", "", "model must not be empty."),
        ("messages", None, "messages is required."),
        ("messages", "Hi", "messages must be a list."),
        ("messages", [], "messages must have at least 1 entry."),
        ("messages", BASE["messages"] * 100_000, "messages must have at most 30000 entries."),
        ("temperature", "0.7", "temperature must be a number."),
        ("temperature", True, "temperature must be a number."),
        ("temperature", 10**400, "temperature must be a number."),
        ("temperature", 2.5, "temperature must be between 0 and 2, not 2.5."),
        ("top_p", -0.1, "top_p must be between 0 and 1, not -0.1."),
        ("top_k", 1.5, "top_k must be an integer."),
        ("top_k", True, "top_k must be an integer."),
        ("seed", 2**63, "seed must be at most 9223372036854775807."),
        ("max_tokens", 0, "max_tokens must be at least 1."),
        ("max_completion_tokens", -3, "max_completion_tokens must be at least 1."),
        ("n", 0, "n must be at least 1."),
        ("n", 9, "n must be at most 8."),
        ("n", 10**6, "n must be at most 8."),
        ("stream", "true", "stream must be true or false."),
        ("stream", 1, "stream must be true or false."),
        ("stream_options", 5, "stream_options must be an object."),
        ("stream_options", {}, "stream_options is only allowed when stream is true."),
        ("ignore_eos", 0, "ignore_eos must be true or false."),
        ("return_progress", True, "return_progress is only allowed when stream is true."),
        ("logprobs", 1, "logprobs must be true or false."),
        ("top_logprobs", 21, "top_logprobs must be at most 20."),
        ("top_logprobs", -1, "top_logprobs must be at least 0."),
        ("min_tokens", -1, "min_tokens must be at least 0."),
    ],
)
def test_the_message_names_the_field_and_the_fault(field: str, value: Any, text: str) -> None:
    error = refusal(**{field: value})
    assert (error.param, error.message) == (field, text)


def test_a_missing_field_is_an_invalid_value() -> None:
    assert refusal(model=None).code == "invalid_value"


def test_integers_may_be_written_as_floats() -> None:
    request = parse(max_tokens=5.0, top_k=6.0)
    assert (request.options.max_tokens, request.options.sampling.top_k) == (5, 6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("moderation", {}),
        ("do_sample", False),
        ("num_predict", 5),
        ("max_new_tokens", 5),
        ("options", {"num_ctx": 5}),
        ("suffix", "x"),
        ("skip_special_tokens", False),
        ("top_n_sigma", 1),
        ("format", "json"),
    ],
)
def test_what_is_not_implemented_is_refused(field: str, value: Any) -> None:
    error = refusal(**{field: value})
    assert isinstance(error, UnsupportedParameter)
    assert (error.param, error.code) == (field, "unsupported_parameter")
    assert error.message == f"{field} is not supported by this server. Leave it out."


def test_log_probabilities() -> None:
    assert parse(logprobs=False, top_logprobs=0).options.logprobs is None
    assert parse(logprobs=True).options.logprobs == 0
    assert parse(logprobs=True, top_logprobs=20).options.logprobs == 20
    error = refusal(top_logprobs=3)
    assert (error.param, error.code) == ("top_logprobs", "invalid_value")
    assert error.message == "top_logprobs is only allowed when logprobs is true."


def test_min_tokens() -> None:
    assert parse(min_tokens=3, max_tokens=3).options.sampling.min_tokens == 3
    error = refusal(min_tokens=4, max_tokens=3)
    assert (error.param, error.code) == ("min_tokens", "invalid_value")


def test_values_that_ask_for_nothing_pass() -> None:
    for field, values in HARMLESS_VALUES.items():
        for value in values:
            assert parse(**{field: value}) == parse()


def test_a_response_format_of_text_asks_for_nothing() -> None:
    for rest in ({}, {"json_schema": None}, {"schema": {"a": 1}}):
        assert parse(response_format={"type": "text", **rest}) == parse()


def test_forms_of_an_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert parse(response_format=form).options.grammar == JSONSchema(
        json.dumps(schema), "response_format.json_schema.schema"
    )
    assert parse(response_format={"type": "json_object"}).options.grammar == JSONSchema(
        '{"type": "object"}', "response_format"
    )
    assert parse(grammar='root ::= "yes"').options.grammar == CFG('root ::= "yes"')
    assert parse(regex="[0-9]+").options.grammar == Regex("[0-9]+")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "invalid_value",
        ),
        (
            {"response_format": {"type": "json_object"}, "regex": "a"},
            "regex",
            "invalid_value",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"properties": {"a": {"not": {}}}}},
                }
            },
            "response_format.json_schema.schema.properties.a.not",
            "unsupported_parameter",
        ),
    ],
)
def test_forms_that_cannot_be_used(body: dict[str, Any], param: str, code: str) -> None:
    error = refusal(**body)
    assert (error.param, error.code) == (param, code)


FIELDS = sorted(ChatCompletionRequest.model_fields.keys() | HARMLESS_VALUES.keys())
VALUES = (
    st.sampled_from([None, True, False, "", "x", "5", -1, 0, 1, 0.5, -0.5, 2**63, -(2**63) - 1])
    | st.sampled_from([10**400, 1e308, [], {}, [None], [[]], [{}], {"": None}, {"a": {"b": []}}])
    | st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=5,
    )
)


@given(field=st.sampled_from(FIELDS), value=VALUES)
@example(field="messages", value=[{"role": "user", "content": [{"type": []}]}])
@example(field="messages", value=[{"role": "assistant", "tool_calls": [{"function": 5}]}])
@settings(max_examples=300, deadline=None)
def test_any_value_is_accepted_or_refused_by_name(field: str, value: Any) -> None:
    error = fault(BASE | {field: value})
    if error is not None:
        assert error.param is not None
        assert error.param.startswith(field)
        assert error.message.startswith(error.param)
        assert len(error.message) < 300


def fault(body: dict[str, Any]) -> RequestError | None:
    """Why `body` is refused; any other exception is a bug."""
    try:
        parse_chat_request(body, max_n=8).to_chat_request()
    except (InvalidValue, UnsupportedParameter) as error:
        return error
    return None


@given(
    field=st.sampled_from(["role", "content", "tool_calls", "function_call", "name", "refusal"]),
    role=st.sampled_from(["system", "user", "assistant", "tool", "function", "developer"]),
    value=VALUES,
)
@settings(max_examples=300, deadline=None)
def test_any_message_is_accepted_or_refused_by_name(field: str, role: str, value: Any) -> None:
    message = {"role": role, "content": "x", "tool_call_id": "call_1"} | {field: value}
    error = fault(BASE | {"messages": [message]})
    if error is not None:
        assert error.param is not None
        assert error.param.startswith("messages[0]")
        assert len(error.message) < 300
