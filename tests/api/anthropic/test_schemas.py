from __future__ import annotations

from typing import Any

import pytest

from edge_llama.api.anthropic.schemas import MessagesRequest
from edge_llama.api.request.request_body import parse
from edge_llama.chat.messages import Message, Role
from edge_llama.engine.protocol.grammar import JSONSchema
from edge_llama.errors import RequestError

HI: dict[str, Any] = {
    "model": "demo",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
}


def test_parameters() -> None:
    asked = parse(
        MessagesRequest,
        HI
        | {"temperature": 0, "top_p": 0.5, "top_k": 3, "stop_sequences": ["A", "B"], "stop": "C"},
    )
    request = asked.to_chat_request()
    assert request.options.max_tokens == 9
    assert request.stop == ("C", "A", "B")
    sampling = request.options.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0, 0.5, 3)


def test_a_schema_for_the_answer() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    config = {"format": {"type": "json_schema", "schema": schema}}
    asked = parse(MessagesRequest, HI | {"output_config": config})
    assert isinstance(asked.to_chat_request().options.grammar, JSONSchema)


@pytest.mark.parametrize(
    "harmless",
    [
        {"metadata": {"user_id": "x"}},
        {"service_tier": "auto"},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"tools": [], "tool_choice": {"type": "auto"}},
        {"output_config": {"effort": "low", "format": None}},
        {"system": None, "stop_sequences": None},
    ],
)
def test_harmless_parameters_pass(harmless: dict[str, Any]) -> None:
    asked = parse(MessagesRequest, HI | harmless)
    assert asked.to_chat_request() == parse(MessagesRequest, HI).to_chat_request()


@pytest.mark.parametrize(
    ("fault", "param", "code"),
    [
        ({"model": None}, "model", "invalid_value"),
        ({"max_tokens": None}, "max_tokens", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"min_tokens": 10}, "min_tokens", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"stop_sequences": "END"}, "stop_sequences", "invalid_value"),
        ({"stop_sequences": [""]}, "stop_sequences[0]", "invalid_value"),
        ({"system": 5}, "system", "invalid_value"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name", "invalid_value"),
        ({"tools": [{"name": "f", "input_schema": 1}]}, "tools[0].input_schema", "invalid_value"),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name", "invalid_value"),
        ({"n": 2}, "n", "unsupported_parameter"),
        (
            {"output_config": {"format": {"type": "json_schema"}}},
            "output_config.format.schema",
            "invalid_value",
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"not": {}}}}},
            "output_config.format.schema.not",
            "unsupported_parameter",
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}, "regex": "a"},
            "regex",
            "invalid_value",
        ),
    ],
)
def test_faults(fault: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(MessagesRequest, HI | fault).to_chat_request()
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    "system",
    [
        "x-anthropic-billing-header: cc_version=2.1; cch=1a2b;\nBe brief.",
        "X-Anthropic-Billing-Header: cch=3c4d\nx-anthropic-x: 1\nBe brief.",
        [
            {"type": "text", "text": "x-anthropic-billing-header: cch=5e6f;"},
            {"type": "text", "text": "Be brief."},
        ],
    ],
)
def test_what_clients_note_for_anthropic_is_no_part_of_the_prompt(system: Any) -> None:
    asked = parse(MessagesRequest, HI | {"system": system})
    assert asked.to_messages()[0] == Message(Role.SYSTEM, "Be brief.")


def test_other_words_that_look_like_a_header_stay() -> None:
    for text in ("x-ray: describe the picture.", "Be brief.\nx-anthropic-billing-header: 1"):
        said = parse(MessagesRequest, HI | {"system": text}).to_messages()[0]
        assert said.content == text
