"""Schemas that are not enforced whole: what a grammar can have of them, and what it cannot.

A tool's schema comes from whoever wrote the tool, in any dialect. The model is shown all of it; an
answer that is valid against it is valid against what is left here, but not the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from edge_llama.chat.grammar.json_schema import MAX_CHARACTERS, enforceable
from edge_llama.errors import RequestError

MAX_DEPTH = 90
"""Schemas within each other."""

TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})

COSTLY = frozenset(
    {"pattern", "patternProperties", "format", "multipleOf", "minLength", "maxLength", "allOf"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"}
)
"""Keywords for which compiling can fail or take too long."""

_KEPT = COSTLY | {
    *("type", "enum", "const", "required", "minProperties", "maxProperties", "$id"),
    *("properties", "additionalProperties", "items", "prefixItems"),
    *("anyOf", "oneOf", "$ref", "$defs", "definitions"),
}
_RESTRICTING = frozenset(
    {"not", "if", "contains", "minContains", "maxContains", "uniqueItems", "propertyNames"}
    | {"dependencies", "dependentRequired", "dependentSchemas", "unevaluatedItems"}
    | {"unevaluatedProperties", "$dynamicRef", "$recursiveRef"}
)
"""Keywords that no grammar has. All others say nothing about what is valid."""
_OFF = {"uniqueItems": False, "minContains": 0, "contains": True, "propertyNames": True}
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS = frozenset({"items", "additionalProperties"})
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_NUMBERS = _BOUNDS | {
    *("multipleOf", "minLength", "maxLength", "minItems", "maxItems"),
    *("minProperties", "maxProperties"),
}
_BESIDES = {"additionalProperties": ("properties", "patternProperties"), "items": ("prefixItems",)}
"""Keywords about what others do not cover."""
_BEYOND_REGEX = re.compile(r"\(\?(?:[=!>]|<[=!]|P=|\()|\\[1-9kgbBAzZG]|[*+?}]\+")
"""Look-around, references to groups, word boundaries and possessive repeats."""


def loosened(
    schema: Mapping[str, Any], *, param: str, plain: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """What can be enforced of a schema, in any dialect, and the paths of what cannot.

    Args:
        schema: of whatever tool there is.
        param: where it stands in the request.
        plain: without `COSTLY` keywords.
    """
    walk = _Walk(schema, plain=plain)
    found = walk.schema(schema, param, 0)
    try:
        return enforceable(found if isinstance(found, dict) else {}, param=param), walk.left_out
    except RequestError:
        return {}, [param]


class _Walk:
    """One way through a schema.

    Attributes:
        left_out: paths of what is not enforced.
    """

    def __init__(self, root: Any, *, plain: bool) -> None:
        self.left_out: list[str] = []
        self._root = root
        self._plain = plain

    def schema(self, schema: Any, path: str, depth: int) -> Any:
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict) or depth > MAX_DEPTH:
            self.left_out.append(path)
            return True
        schema = _modern(schema)
        result = dict(self._kept(schema, path, depth))
        for keyword, covered in _BESIDES.items():
            if keyword in result and any(each in schema.keys() - result.keys() for each in covered):
                del result[keyword]
        return result

    def _kept(self, schema: dict[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
        for keyword, value in schema.items():
            place = f"{path}.{keyword}"
            if keyword in _RESTRICTING:
                if _OFF.get(keyword, ...) != value:
                    self.left_out.append(place)
            elif keyword in _KEPT:
                try:
                    yield from self._keyword(keyword, value, place, depth + 1)
                except RequestError:
                    self.left_out.append(place)

    def _keyword(
        self, keyword: str, value: Any, path: str, depth: int
    ) -> Iterator[tuple[str, Any]]:
        """
        Raises:
            RequestError: it cannot be enforced.
        """
        if self._plain and keyword in COSTLY:
            _refuse(path)
        if keyword in _SCHEMAS:
            yield keyword, self.schema(value, path, depth)
        elif keyword in _LISTS:
            if not isinstance(value, list) or not value:
                _refuse(path)
            items = [self.schema(each, f"{path}[{i}]", depth) for i, each in enumerate(value)]
            yield ("anyOf" if self._plain and keyword == "oneOf" else keyword), items
        elif keyword in _MAPS:
            if not isinstance(value, dict) or any(len(name) > MAX_CHARACTERS for name in value):
                _refuse(path)
            if keyword == "patternProperties":
                for pattern in value:
                    _check("pattern", pattern, path)
            yield keyword, {n: self.schema(v, f"{path}.{n}", depth) for n, v in value.items()}
        elif keyword == "$ref":
            if not self._leads_somewhere(value):
                _refuse(path)
            yield keyword, value
        else:
            _check(keyword, value, path)
            yield keyword, value

    def _leads_somewhere(self, reference: Any) -> bool:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return False
        place = self._root
        for token in reference.split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            elif isinstance(place, dict) and name in place:
                place = place[name]
            else:
                return False
        return isinstance(place, (dict, bool))


def _modern(schema: dict[str, Any]) -> dict[str, Any]:
    """In the words of draft 2020-12: lists of `items` as up to draft 7, Google's types in capitals,
    OpenAPI's `nullable`."""
    schema = dict(schema)
    if isinstance(schema.get("items"), list):
        schema["prefixItems"] = schema.pop("items")
        if "additionalItems" in schema:
            schema["items"] = schema["additionalItems"]
        if not schema["prefixItems"]:
            del schema["prefixItems"]
    types = schema.get("type")
    if isinstance(types, str):
        schema["type"] = types.lower()
    elif isinstance(types, list):
        schema["type"] = [each.lower() if isinstance(each, str) else each for each in types]
    if schema.get("nullable") is True:
        _allow_null(schema)
    return schema


def _allow_null(schema: dict[str, Any]) -> None:
    types = schema.get("type")
    if isinstance(types, str):
        schema["type"] = [types, "null"]
    values = schema.get("enum")
    if isinstance(values, list) and None not in values:
        schema["enum"] = [*values, None]


def _check(keyword: str, value: Any, path: str) -> None:
    """
    Raises:
        RequestError: the keyword, alone, cannot be enforced with that value.
    """
    if keyword == "type":
        types = value if isinstance(value, list) else [value]
        fits = bool(types) and all(isinstance(each, str) and each in TYPES for each in types)
    elif keyword == "enum":
        fits = isinstance(value, list) and bool(value)
    elif keyword == "pattern":
        fits = isinstance(value, str) and _is_regular(value)
    elif keyword in _NUMBERS:
        fits = type(value) in (int, float) and (keyword in _BOUNDS or value >= 0)
    else:
        fits = True
    if not fits:
        _refuse(path)
    enforceable({keyword: value}, param=path)


def _is_regular(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return _BEYOND_REGEX.search(pattern) is None


def _refuse(path: str) -> None:
    raise RequestError(f"{path} cannot be enforced.", param=path)
