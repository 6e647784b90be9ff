from __future__ import annotations

import json

import pytest

from edge_llama.api.request.response_format import ResponseFormat
from edge_llama.api.request.validation import validate
from edge_llama.engine.protocol.grammar import JSONSchema
from edge_llama.errors import InvalidValue, UnsupportedParameter

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def test_a_json_object_may_come_with_its_schema() -> None:
    asked = ResponseFormat.model_validate({"type": "json_object", "schema": SCHEMA})
    grammar = asked.to_grammar()
    assert isinstance(grammar, JSONSchema)
    assert json.loads(grammar.text) == SCHEMA
    assert grammar.param == "response_format.schema"


def test_its_faults_are_named_where_they_stand() -> None:
    asked = ResponseFormat.model_validate({"type": "json_object", "schema": {"contains": {}}})
    with pytest.raises(UnsupportedParameter) as caught:
        asked.to_grammar()
    assert caught.value.param == "response_format.schema.contains"


def test_any_json_object_without_one() -> None:
    grammar = ResponseFormat.model_validate({"type": "json_object"}).to_grammar()
    assert isinstance(grammar, JSONSchema)
    assert json.loads(grammar.text) == {"type": "object"}


@pytest.mark.parametrize("schema", ["a", [], 5, True])
def test_a_schema_is_an_object(schema: object) -> None:
    body = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(InvalidValue, match=r"json_schema\.schema must be an object\.") as caught:
        validate(ResponseFormat, body)
    assert caught.value.param == "json_schema.schema"
