"""GuidedRequest: vLLM's names for what an answer must look like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from edge_llama.api.request.request_body import RequestBody
from edge_llama.api.request.validation import JSONObject, Schema, TextIn, invalid
from edge_llama.chat.grammar.client_grammar import client_grammar
from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.engine.protocol.grammar import Grammar, Regex


def _parsed_schema(value: Any) -> Any:
    """vLLM takes a schema as text too."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise invalid("must be a JSON Schema.") from None


MAX_CHOICES = 1000

SchemaIn = Annotated[
    JSONObject, BeforeValidator(_parsed_schema, json_schema_input_type=JSONObject | str)
]
Choices = Annotated[list[TextIn], Field(max_length=MAX_CHOICES)]

_META = re.compile(r"[\\.+*?()|\[\]{}^$#&~-]")


def _verbatim(text: str) -> str:
    """A text as a regular expression of Rust's."""
    return _META.sub(lambda sign: f"\\{sign[0]}", text)


class StructuredOutputs(Schema):
    """vLLM's way to tell what an answer must look like: one of these."""

    json_: Annotated[SchemaIn | None, Field(alias="json")] = None
    regex: TextIn | None = None
    choice: Choices | None = None
    grammar: TextIn | None = None
    json_object: bool | None = None


class GuidedRequest(RequestBody):
    """`structured_outputs`, and the older names of what is in it."""

    structured_outputs: StructuredOutputs | None = None
    guided_json: SchemaIn | None = None
    guided_regex: TextIn | None = None
    guided_choice: Choices | None = None
    guided_grammar: TextIn | None = None

    def guided_schema(self) -> JSONObject | None:
        """The schema that these fields tell."""
        nested = self.structured_outputs or StructuredOutputs()
        return self.guided_json or nested.json_

    def guided(self) -> Iterator[tuple[str, Grammar]]:
        """What these fields tell, by their names.

        Raises:
            RequestError: one cannot be enforced.
        """
        nested = self.structured_outputs or StructuredOutputs()
        yield from _forms(
            "guided_",
            self.guided_json,
            self.guided_grammar,
            self.guided_regex,
            self.guided_choice,
        )
        yield from _forms(
            "structured_outputs.", nested.json_, nested.grammar, nested.regex, nested.choice
        )
        if nested.json_object:
            name = "structured_outputs.json_object"
            yield name, json_schema_grammar({"type": "object"}, param=name)


def _forms(
    prefix: str,
    schema: JSONObject | None,
    grammar: str | None,
    regex: str | None,
    choices: list[str] | None,
) -> Iterator[tuple[str, Grammar]]:
    if schema is not None:
        yield f"{prefix}json", json_schema_grammar(schema, param=f"{prefix}json")
    if grammar:
        yield f"{prefix}grammar", client_grammar(grammar, param=f"{prefix}grammar")
    if regex:
        yield f"{prefix}regex", Regex(regex, f"{prefix}regex")
    if choices:
        yield f"{prefix}choice", Regex("|".join(map(_verbatim, choices)), f"{prefix}choice")
