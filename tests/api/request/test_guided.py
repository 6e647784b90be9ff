"""vLLM's names for the form of an answer, and what the model is told of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from edge_llama.api.anthropic.schemas import MessagesRequest
from edge_llama.api.chat_completions.schemas import ChatCompletionRequest
from edge_llama.api.request.request_body import parse
from edge_llama.api.responses.schemas import ResponsesRequest
from edge_llama.chat.messages import ChatRequest
from edge_llama.engine.protocol.grammar import CFG, JSONSchema, Regex
from edge_llama.errors import RequestError

HELLO = [{"role": "user", "content": "Hello"}]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "description": "Of the person."}},
    "required": ["name"],
}


def chat(**fields: Any) -> ChatRequest:
    body = {"model": "demo", "messages": HELLO, **fields}
    return parse(ChatCompletionRequest, body).to_chat_request()


@pytest.mark.parametrize(
    ("fields", "kind", "text"),
    [
        ({"guided_json": PERSON}, JSONSchema, '"required": ["name"]'),
        ({"guided_json": json.dumps(PERSON)}, JSONSchema, '"required": ["name"]'),
        ({"guided_regex": "[ab]+"}, Regex, "[ab]+"),
        ({"guided_grammar": 'start: "a"'}, CFG, 'start: "a"'),
        ({"structured_outputs": {"json": PERSON}}, JSONSchema, '"required": ["name"]'),
        ({"structured_outputs": {"json_object": True}}, JSONSchema, '"type": "object"'),
        ({"structured_outputs": {"regex": "[ab]+"}}, Regex, "[ab]+"),
        ({"structured_outputs": {"grammar": 'start: "a"'}}, CFG, 'start: "a"'),
    ],
)
def test_each_field_is_a_form(fields: dict[str, Any], kind: type, text: str) -> None:
    grammar = chat(**fields).options.grammar
    assert isinstance(grammar, kind)
    assert isinstance(grammar, JSONSchema | CFG | Regex)
    assert text in grammar.text


@pytest.mark.parametrize("field", ["guided_choice", "structured_outputs"])
def test_choices_are_taken_as_they_are(field: str) -> None:
    choices = ["yes", "no (or later)", "a.b|c", "C:\\x"]
    value: Any = choices if field == "guided_choice" else {"choice": choices}
    grammar = chat(**{field: value}).options.grammar
    assert isinstance(grammar, Regex)
    for choice in choices:
        assert re.fullmatch(grammar.text, choice)
    assert not re.fullmatch(grammar.text, "axb")


@pytest.mark.parametrize(
    "fields",
    [
        {"guided_json": PERSON, "guided_regex": "a"},
        {"structured_outputs": {"json": PERSON, "regex": "a"}},
        {"guided_choice": ["a"], "response_format": {"type": "json_object"}},
    ],
)
def test_two_at_once_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="exclude each other"):
        chat(**fields)


@pytest.mark.parametrize(
    "fields", [{"guided_json": "{"}, {"guided_json": "[]"}, {"guided_json": 5}]
)
def test_what_is_no_schema_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        chat(**fields)
    assert caught.value.param == "guided_json"


def test_nothing_asked_for_is_no_form() -> None:
    nothings: list[dict[str, Any]] = [
        {"guided_choice": []},
        {"structured_outputs": {}},
        {"guided_regex": ""},
    ]
    for nothing in nothings:
        assert chat(**nothing).options.grammar is None


def told(request: ChatRequest) -> Any:
    return None if request.schema_hint is None else json.loads(request.schema_hint)


def test_the_model_is_told_the_schema_as_it_was_sent() -> None:
    form = {"type": "json_schema", "json_schema": {"schema": PERSON}}
    assert told(chat(response_format=form)) == PERSON
    assert told(chat(response_format={"type": "json_object", "schema": PERSON})) == PERSON
    assert told(chat(guided_json=PERSON)) == PERSON
    assert told(chat(structured_outputs={"json": PERSON})) == PERSON
    response = {"model": "demo", "input": "Hi", "text": {"format": {"type": "json_schema"}}}
    response["text"]["format"] |= {"name": "x", "schema": PERSON}  # type: ignore[index]
    assert told(parse(ResponsesRequest, response).to_chat_request()) == PERSON
    message = {"model": "demo", "messages": HELLO, "max_tokens": 5}
    form = {"format": {"type": "json_schema", "schema": PERSON}}
    message["output_config"] = form
    assert told(parse(MessagesRequest, message).to_chat_request()) == PERSON


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "text"}},
        {"regex": "a"},
        {"guided_json": PERSON, "schema_hint": False},
    ],
)
def test_nothing_else_is_told(fields: dict[str, Any]) -> None:
    assert told(chat(**fields)) is None
