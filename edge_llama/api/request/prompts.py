"""Prompts as APIs without conversations have them: texts or token ids."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Field, PlainValidator

from edge_llama.api.request.validation import Name, TextIn, invalid, without_nul

MAX_TOKEN_ID = 2**31 - 1

TextOrIds: TypeAlias = str | tuple[int, ...]

_TokenId = Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)]
_SomeIds = Annotated[list[_TokenId], Field(min_length=1)]
_Ids = _SomeIds | Annotated[list[_SomeIds], Field(min_length=1)]
TextsIn = TextIn | Annotated[list[TextIn], Field(min_length=1)] | _Ids
NamesIn = Name | Annotated[list[Name], Field(min_length=1)] | _Ids
"""Where no text may be empty."""


def as_texts(value: Any) -> tuple[TextOrIds, ...]:
    """OpenAI's four forms: a string, a list of strings, token ids, a list of lists of those."""
    if isinstance(value, str):
        return (without_nul(value),)
    if not isinstance(value, list):
        raise invalid("must be a string, token ids, or a list of those.")
    if not value:
        raise invalid("must not be empty.")
    if all(isinstance(entry, str) for entry in value):
        return tuple(map(without_nul, value))
    if _are_ids(value):
        return (tuple(value),)
    if all(isinstance(entry, list) and entry and _are_ids(entry) for entry in value):
        return tuple(map(tuple, value))
    raise invalid("must have either strings, or token ids, or lists of token ids as entries.")


def _are_ids(values: list[Any]) -> bool:
    return all(type(value) is int and 0 <= value <= MAX_TOKEN_ID for value in values)


def _token_ids(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise invalid("must be a list of token ids.")
    if not _are_ids(value):
        raise invalid("must have token ids as entries.")
    return tuple(value)


def _text_or_ids(value: Any) -> TextOrIds:
    return without_nul(value) if isinstance(value, str) else _token_ids(value)


TokenIds = Annotated[
    tuple[int, ...], PlainValidator(_token_ids, json_schema_input_type=list[_TokenId])
]
OnePrompt = Annotated[
    TextOrIds, PlainValidator(_text_or_ids, json_schema_input_type=str | list[_TokenId])
]
