"""Prompts as APIs without conversations have them: texts or token ids."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator

from edge_llama.api.request.validation import Name, TextIn, invalid, without_nul
from edge_llama.chat.messages import TextOrIds

MAX_TOKEN_ID = 2**31 - 1

_TokenId = Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)]
_SomeIds = Annotated[list[_TokenId], Field(min_length=1)]
TextsIn = TextIn | _SomeIds | Annotated[list[TextIn | _SomeIds], Field(min_length=1)]
NamesIn = Name | _SomeIds | Annotated[list[Name | _SomeIds], Field(min_length=1)]
"""Where no text may be empty."""


def as_texts(value: Any) -> tuple[TextOrIds, ...]:
    """A string, token ids, or a list of those, also of both kinds, as OpenAI's API has them; and
    llama-server's token ids among which there are strings.
    """
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
    if all(isinstance(entry, str) or _is_id(entry) for entry in value):
        return (tuple(map(_part, value)),)
    if all(isinstance(entry, (str, list)) and entry for entry in value):
        return tuple(map(_one, value))
    raise invalid("must have strings, token ids, or lists of token ids as entries.")


def _one(value: str | list[Any]) -> TextOrIds:
    if isinstance(value, str):
        return without_nul(value)
    if not all(isinstance(entry, str) or _is_id(entry) for entry in value):
        raise invalid("must have strings, token ids, or lists of token ids as entries.")
    return tuple(map(_part, value))


def _part(value: int | str) -> int | str:
    return without_nul(value) if isinstance(value, str) else value


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_TOKEN_ID


def _are_ids(values: list[Any]) -> bool:
    return all(map(_is_id, values))


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
