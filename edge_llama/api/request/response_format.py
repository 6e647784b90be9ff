"""`response_format`: the form of an answer, as OpenAI's API has it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from edge_llama.api.request.validation import JSONObject, Name, Schema, missing
from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.engine.protocol.grammar import Grammar


class JSONSchemaFormat(Schema):
    """A schema. `strict` makes no difference: every schema is enforced."""

    name: Name | None = None
    description: Any = None
    strict: Any = None
    schema_: Annotated[JSONObject, Field(alias="schema")] = Field(default_factory=dict)


class ResponseFormat(Schema):
    """Free text, any JSON object, or JSON that is valid against a schema.

    `schema` is llama.cpp's way to give `json_object` one.
    """

    type: Literal["text", "json_object", "json_schema"]
    schema_: Annotated[JSONObject | None, Field(alias="schema")] = None
    json_schema: JSONSchemaFormat | None = None

    @model_validator(mode="after")
    def _has_a_schema(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise missing("json_schema")
        return self

    @property
    def told(self) -> JSONObject | None:
        """The schema that the answer has to be valid against, if there is one."""
        if self.type == "json_object":
            return self.schema_
        return self.json_schema.schema_ if self.json_schema and self.type == "json_schema" else None

    def to_grammar(self, param: str = "response_format") -> Grammar | None:
        """What an answer must look like; None if it is free.

        Raises:
            InvalidValue: the schema cannot be used; `param` names the keyword.
        """
        if self.type == "text":
            return None
        if self.type == "json_object" and self.schema_ is not None:
            return json_schema_grammar(self.schema_, param=f"{param}.schema")
        if self.type == "json_object" or self.json_schema is None:
            return json_schema_grammar({"type": "object"}, param=param)
        return json_schema_grammar(self.json_schema.schema_, param=f"{param}.json_schema.schema")
