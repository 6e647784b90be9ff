from __future__ import annotations

import json
from typing import Any

import pytest

from edge_llama.api.request.request_body import parse
from edge_llama.api.responses.schemas import ResponsesRequest
from edge_llama.engine.protocol.grammar import JSONSchema
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.errors import RequestError

HI = {"model": "demo", "input": "Hi"}


def test_parameters() -> None:
    asked = parse(
        ResponsesRequest,
        HI
        | {
            "max_output_tokens": 5.0,
            "temperature": 0,
            "top_k": 3,
            "seed": 7,
            "stop": "END",
            "service_tier": "flex",
            "text": {"format": {"type": "text"}, "verbosity": "low"},
        },
    )
    request = asked.to_chat_request()
    assert request.options.max_tokens == 5
    sampling = request.options.sampling
    assert (sampling.temperature, sampling.top_k, sampling.seed) == (0, 3, 7)
    assert request.stop == ("END",)
    assert request.options.tier is ServiceTier.FLEX
    assert request.options.n == 1


@pytest.mark.parametrize(
    "harmless",
    [
        {"store": True},
        {"include": ["reasoning.encrypted_content"]},
        {"reasoning": {"effort": "low"}},
        {"metadata": {"a": "b"}},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"background": False, "previous_response_id": None, "conversation": None},
        {"top_logprobs": 0},
        {"text": {"verbosity": "low"}},
        {"stream_options": {"include_obfuscation": False}},
    ],
)
def test_harmless_parameters_pass(harmless: dict[str, Any]) -> None:
    asked = parse(ResponsesRequest, HI | harmless)
    assert asked.to_chat_request() == parse(ResponsesRequest, HI).to_chat_request()


@pytest.mark.parametrize(
    ("fault", "param", "code"),
    [
        ({"model": None}, "model", "invalid_value"),
        ({"input": None}, "input", "invalid_value"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"conversation": {"id": "conv_1"}}, "conversation", "unsupported_parameter"),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "invalid_value"),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": 1}]},
            "tools[0].parameters",
            "invalid_value",
        ),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", "invalid_value"),
        ({"top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"max_tokens": 5}, "max_tokens", "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_value"),
        ({"max_output_tokens": 1, "min_tokens": 2}, "min_tokens", "invalid_value"),
        ({"temperature": "hot"}, "temperature", "invalid_value"),
        ({"text": {"format": "json"}}, "text.format", "invalid_value"),
        ({"text": {"format": {}}}, "text.format.type", "invalid_value"),
        (
            {"text": {"format": {"type": "json_schema", "schema": {"not": {}}}}},
            "text.format.schema.not",
            "unsupported_parameter",
        ),
        ({"text": {"format": {"type": "json_object"}}, "regex": "a"}, "regex", "invalid_value"),
        (
            {"text": {"format": {"type": "json_schema", "name": "x"}}},
            "text.format.schema",
            "invalid_value",
        ),
        ({"stream": "yes"}, "stream", "invalid_value"),
    ],
)
def test_faults(fault: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(ResponsesRequest, HI | fault).to_chat_request()
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize("schema", [None, {"type": "object", "required": ["a"]}])
def test_a_json_object_may_come_with_its_schema(schema: dict[str, Any] | None) -> None:
    form = {"type": "json_object", "schema": schema}
    request = parse(ResponsesRequest, HI | {"text": {"format": form}}).to_chat_request()
    grammar = request.options.grammar
    assert isinstance(grammar, JSONSchema)
    assert json.loads(grammar.text) == (schema or {"type": "object"})
    assert grammar.param == ("text.format.schema" if schema else "text.format")
