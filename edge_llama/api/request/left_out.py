"""LeftOut: entries of a request that only another server could use."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, TypeVar

from pydantic import WithJsonSchema

from edge_llama.api.request.validation import JSONObject, Schema

Entry = TypeVar("Entry")


class LeftOut(Schema):
    """An entry that is not used, such as a tool that OpenAI itself runs.

    It stays in its list, so that the header of ignored fields can name it.
    """

    type: str


def documented(types: JSONObject) -> WithJsonSchema:
    """How /openapi.json shows an entry of one of these types."""
    properties = {"type": {"type": "string", **types}}
    return WithJsonSchema({"type": "object", "properties": properties, "required": ["type"]})


def unless_left_out(
    read: Callable[[Any], Entry], is_foreign: Callable[[str], bool]
) -> Callable[[Any], Entry | LeftOut]:
    """For a validator of an entry.

    Args:
        read: of those that are used.
        is_foreign: by its type, whether an entry is left out.
    """

    def validate(entry: Any) -> Entry | LeftOut:
        kind = entry.get("type") if isinstance(entry, dict) else None
        if isinstance(kind, str) and is_foreign(kind):
            return LeftOut(type=kind)
        return read(entry)

    return validate


def other_than(*ours: str) -> Callable[[str], bool]:
    """Whether it is none of these types."""
    return lambda kind: kind not in ours


def one_of(kinds: Container[str]) -> Callable[[str], bool]:
    """Whether it is one of these types."""
    return lambda kind: kind in kinds
