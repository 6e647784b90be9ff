"""JSON Schemas: what of them can be enforced."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from edge_llama.engine.grammar import JSONSchema
from edge_llama.errors import InvalidValue, UnsupportedParameter

UNSUPPORTED = frozenset(
    {"not", "if", "then", "else", "contains", "minContains", "maxContains", "uniqueItems"}
    | {"propertyNames", "dependencies", "dependentRequired", "dependentSchemas"}
    | {"unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"}
)
"""Keywords that restrict values in a way that cannot be enforced while a text is written."""

MAX_DEPTH = 100
MAX_ENTRIES = 20_000
"""Keywords and list entries of a schema."""
MAX_PROPERTIES = 1000
"""Properties of one object: compiling takes time by their square."""
MAX_PERIOD = 10_000
"""Numbers after which the multiples in a schema coincide: compiling takes time by its square."""

_SCHEMA_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_SCHEMA_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMA = frozenset({"items", "additionalProperties"})


def json_schema_grammar(schema: dict[str, Any], *, param: str) -> JSONSchema:
    """A schema as a grammar.

    Args:
        schema: JSON Schema, draft 2020-12.
        param: where it stands in the request.

    Raises:
        UnsupportedParameter: a keyword cannot be enforced; `param` has its path.
        InvalidValue: the schema is too large, nested too deeply or not a schema.
    """
    _Checker().schema(schema, param, 0)
    return JSONSchema(json.dumps(schema), param)


class _Checker:
    """Walks through a schema and adds up what compiling it takes."""

    def __init__(self) -> None:
        self._entries = 0
        self._multiples: set[Decimal] = set()

    def schema(self, schema: Any, path: str, depth: int) -> None:
        self._count(path, depth)
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise InvalidValue(f"{path} must be a schema: an object or a boolean.", param=path)
        for keyword, value in schema.items():
            self._keyword(keyword, value, f"{path}.{keyword}", depth + 1)

    def _keyword(self, keyword: str, value: Any, path: str, depth: int) -> None:
        if keyword in UNSUPPORTED and value is not False:
            raise UnsupportedParameter(
                f"{path}: the keyword {keyword} cannot be enforced. Leave it out.", param=path
            )
        if keyword in _SCHEMA:
            self.schema(value, path, depth)
        elif keyword in _SCHEMA_LISTS:
            for index, item in enumerate(self._list(value, path)):
                self.schema(item, f"{path}[{index}]", depth + 1)
        elif keyword in _SCHEMA_MAPS:
            for name, item in self._object(value, path).items():
                self.schema(item, f"{path}.{name}", depth + 1)
        else:
            if keyword == "$ref":
                self._reference(value, path)
            elif keyword == "multipleOf":
                self._multiple(value, path)
            self._value(value, path, depth)

    def _list(self, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise InvalidValue(f"{path} must be a list of schemas.", param=path)
        return value

    def _object(self, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise InvalidValue(f"{path} must be an object of schemas.", param=path)
        if len(value) > MAX_PROPERTIES:
            raise InvalidValue(f"{path} may have at most {MAX_PROPERTIES} entries.", param=path)
        return value

    def _reference(self, value: Any, path: str) -> None:
        if not isinstance(value, str) or not value.startswith("#"):
            raise InvalidValue(
                f"{path} must lead to a place in the same schema, such as #/$defs/item.", param=path
            )

    def _multiple(self, value: Any, path: str) -> None:
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise InvalidValue(f"{path} must be a number greater than 0.", param=path)
        step = Decimal(str(value))
        self._multiples.add(step)
        digits = max(-int(each.as_tuple().exponent) for each in self._multiples)
        scaled = (int(each.scaleb(max(digits, 0))) for each in self._multiples)
        if math.lcm(*scaled) > MAX_PERIOD:
            raise InvalidValue(
                f"{path}: the multiples in a schema may coincide after at most {MAX_PERIOD} steps "
                "of their last digit. Take rounder numbers.",
                param=path,
            )

    def _value(self, value: Any, path: str, depth: int) -> None:
        """A value in which there are no schemas."""
        self._count(path, depth)
        if isinstance(value, list):
            for index, item in enumerate(value):
                self._value(item, f"{path}[{index}]", depth + 1)
        elif isinstance(value, dict):
            for name, item in value.items():
                self._value(item, f"{path}.{name}", depth + 1)

    def _count(self, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise InvalidValue(f"{path[:200]} is nested too deeply.", param=path[:200])
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise InvalidValue(
                f"The schema has more than {MAX_ENTRIES} keywords and values.", param=path
            )
