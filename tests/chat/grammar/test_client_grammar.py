from __future__ import annotations

import json

import pytest

from edge_llama.chat.grammar.client_grammar import client_grammar
from edge_llama.engine.protocol.grammar import CFG
from edge_llama.errors import RequestError


@pytest.mark.parametrize("text", ['root ::= "yes"', "start: /a/ // %jsonish", ""])
def test_what_has_no_schema_stays_as_it_is(text: str) -> None:
    assert client_grammar(text, param="grammar") == CFG(text, "grammar")


def test_schemas_in_it_are_made_enforceable() -> None:
    schema = {"type": "string", "format": "date", "x-guidance": {"lenient": True}}
    text = f"start: a b\na: %json {json.dumps(schema)}\nb: %json{{}} a"
    grammar = client_grammar(text, param="grammar")
    start, first, second = grammar.text.split("\n")
    assert start == "start: a b"
    enforced = json.loads(first.removeprefix("a: %json "))
    assert "allOf" in enforced
    assert "x-guidance" not in enforced
    assert second == "b: %json{} a"


@pytest.mark.parametrize(
    ("text", "param", "words"),
    [
        ("a" * 32_769, "grammar", "at most 32768"),
        ('start: %json {"not": {}}', "grammar.%json.not", "cannot be enforced"),
        ('start: %json {"required": %s}', "grammar", "no JSON Schema"),
        ('start: a\na: %json {} b\nb: %json {"items": {"$ref": "http://a/b"}}', "", "same schema"),
        ("start: %json # why\n{}", "grammar", "no JSON Schema"),
        ("start: %json [1]", "grammar", "no JSON object"),
        ("start: %json " + "[" * 30_000, "grammar", "no JSON Schema"),
        ("start: %json", "grammar", "no JSON Schema"),
    ],
)
def test_what_is_refused(text: str, param: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as error:
        client_grammar(text, param="grammar")
    assert (error.value.param or "").startswith(param)
