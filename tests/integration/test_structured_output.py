"""Answers in a form: the official client against a real server with the demo model."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.effort import at_most


class Person(BaseModel):
    name: str
    age: int


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


ANNA = user("Extract name and age as JSON: Anna is 31 years old.")


def json_schema(schema: dict[str, Any]) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_parse_gives_an_instance(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="demo", messages=ANNA, response_format=Person, temperature=0
    )
    assert answer.choices[0].message.parsed == Person(name="Anna", age=31)
    assert answer.choices[0].finish_reason == "stop"


def test_a_stream_gives_an_instance(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="demo", messages=ANNA, response_format=Person, temperature=0
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        answer = stream.get_final_completion()
    assert answer.choices[0].message.parsed == Person(name="Anna", age=31)
    assert json.loads("".join(deltas)) == {"name": "Anna", "age": 31}
    assert len(deltas) > 3


def test_json_object(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo", messages=ANNA, response_format={"type": "json_object"}, temperature=0
    )
    assert json.loads(answer.choices[0].message.content or "") == {"name": "Anna", "age": 31}


def test_every_choice_has_the_form(client: openai.OpenAI) -> None:
    schema = {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 3}
    answer = client.chat.completions.create(
        model="demo", messages=ANNA, response_format=json_schema(schema), temperature=2, n=8
    )
    values = [json.loads(choice.message.content or "") for choice in answer.choices]
    assert all(2 <= len(value) <= 3 and set(value) <= {"a", "b"} for value in values)
    assert len({str(value) for value in values}) > 1


def test_grammar_and_regex(client: openai.OpenAI) -> None:
    for body, answers in (
        ({"grammar": 'root ::= "yes" | "no"'}, {"yes", "no"}),
        ({"grammar": 'start: "yes" | "no"'}, {"yes", "no"}),
        ({"regex": "yes|no"}, {"yes", "no"}),
    ):
        answer = client.chat.completions.create(
            model="demo", messages=user("Hello!"), extra_body=body, max_tokens=50
        )
        assert answer.choices[0].message.content in answers
        assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("schema", "param", "words"),
    [
        ({"type": "string", "not": {}}, ".not", "cannot be enforced"),
        ({"properties": {"a": {"uniqueItems": True}}}, ".properties.a.uniqueItems", "enforced"),
        ({"$ref": "http://127.0.0.1:9/a.json"}, ".$ref", "same schema"),
        ({"type": "string", "pattern": "(?=a)b"}, "", "look-around"),
        ({"multipleOf": 15485863}, ".multipleOf", "rounder"),
        ({"enum": list(range(100_000))}, ".enum", "At most 20000"),
        ({"properties": {str(i): {} for i in range(2000)}}, ".properties", "at most 500"),
    ],
)
def test_schemas_that_cannot_be_used_are_refused_at_once(
    client: openai.OpenAI,
    demo_server: tuple[str, int],
    schema: dict[str, Any],
    param: str,
    words: str,
) -> None:
    _, pid = demo_server
    with at_most(1000, pid), pytest.raises(openai.BadRequestError, match=words) as error:
        client.chat.completions.create(
            model="demo", messages=ANNA, response_format=json_schema(schema)
        )
    assert (error.value.param or "").startswith(f"response_format.json_schema.schema{param}")


def test_odd_schemas_give_valid_answers(client: openai.OpenAI) -> None:
    schemas: list[dict[str, Any]] = [
        {"type": "array", "items": {"type": "null"}, "maxItems": 10**9},
        {"type": "string", "pattern": "^(a+)+b$"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
        {"enum": [str(i) for i in range(10_000)]},
    ]

    def ask(schema: dict[str, Any]) -> None:
        answer = client.chat.completions.create(
            model="demo",
            messages=ANNA,
            response_format=json_schema(schema),
            max_tokens=100,
            temperature=1.5,
        )
        if answer.choices[0].finish_reason == "stop":
            json.loads(answer.choices[0].message.content or "")
        else:
            assert answer.choices[0].finish_reason == "length"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, schemas))
