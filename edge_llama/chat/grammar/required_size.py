"""How long the shortest texts are that a JSON Schema allows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edge_llama.chat.grammar.required_length import required_length

ENDLESS = 10**12
"""More than this is not told apart."""

MAX_DEPTH = 200
"""Schemas within each other, references included."""


class RequiredSizes:
    """The sizes of a schema's parts, each looked at once.

    Args:
        root: a schema that `enforceable` made.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[int, int] = {}
        self._depth = 0

    def largest(self) -> int:
        """About the characters of the longest text that any part of the schema requires.

        Raises:
            RecursionError: it is nested too deeply.
        """
        return max(map(self._size, _schemas(self._root)))

    def _size(self, schema: Any) -> int:
        """At most `ENDLESS`. What requires itself counts as nothing: no text is valid then."""
        if not isinstance(schema, dict):
            return 1
        if id(schema) not in self._known:
            if self._depth == MAX_DEPTH:
                raise RecursionError
            self._depth += 1
            self._known[id(schema)] = 0
            self._known[id(schema)] = min(ENDLESS, max(1, *self._demands(schema)))
            self._depth -= 1
        return self._known[id(schema)]

    def _demands(self, schema: Mapping[str, Any]) -> Iterator[int]:
        yield 1
        if "const" in schema:
            yield _written(schema["const"])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            yield min(map(_written, schema["enum"]))
        if "$ref" in schema:
            yield self._size(self._target(schema["$ref"]))
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                yield min(map(self._size, schema[keyword]))
        yield from map(self._size, schema.get("allOf", ()))
        yield _count(schema.get("minLength"))
        yield required_length(schema.get("pattern", ""))
        yield self._array(schema)
        yield self._object(schema)

    def _array(self, schema: Mapping[str, Any]) -> int:
        least = _count(schema.get("minItems"))
        first = schema.get("prefixItems", [])[:least]
        others = self._size(schema.get("items", True)) + 2
        return sum(self._size(item) + 2 for item in first) + (least - len(first)) * others

    def _object(self, schema: Mapping[str, Any]) -> int:
        required = schema.get("required", ())
        if not isinstance(required, list):
            return 0
        properties = schema.get("properties", {})
        names = {name for name in required if isinstance(name, str)}
        return sum(len(name) + 6 + self._size(properties.get(name, True)) for name in names)

    def _target(self, reference: str) -> Any:
        """What a reference leads to; the compiler tells if that is nothing."""
        found = self._root
        for token in reference.split("/")[1:]:
            token = token.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and token.isdecimal() and int(token) < len(found):
                found = found[int(token)]
            elif isinstance(found, dict):
                found = found.get(token)
            else:
                return None
        return found


def _schemas(schema: Any) -> Iterator[Any]:
    """A schema and all within it."""
    yield schema
    if not isinstance(schema, dict):
        return
    parts: list[Iterable[Any]] = [
        [schema[name] for name in ("items", "additionalProperties") if name in schema]
    ]
    parts += [schema.get(name, ()) for name in ("anyOf", "oneOf", "allOf", "prefixItems")]
    parts += [
        schema.get(name, {}).values()
        for name in ("properties", "patternProperties", "$defs", "definitions")
    ]
    for part in parts:
        for inner in part:
            yield from _schemas(inner)


def _count(value: Any) -> int:
    """A number of characters or items, if it is one; the compiler tells if it is not."""
    return int(min(ENDLESS, value)) if type(value) in (int, float) and value > 0 else 0


def _written(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False))
