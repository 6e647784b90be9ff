"""JSON Schemas: what of them can be enforced."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from edge_llama.chat.grammar.required_length import required_length
from edge_llama.chat.grammar.required_size import RequiredSizes
from edge_llama.engine.protocol.grammar import JSONSchema
from edge_llama.errors import InvalidValue, RequestError, UnsupportedParameter

UNSUPPORTED = frozenset(
    {"not", "if", "then", "else", "contains", "minContains", "maxContains", "uniqueItems"}
    | {"propertyNames", "dependencies", "dependentRequired", "dependentSchemas"}
    | {"unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"}
)
"""Keywords that restrict values in ways that cannot be enforced while a text is written."""

_OFF_IF_FALSE = frozenset({"not", "uniqueItems"})
"""Keywords that restrict nothing when they are false."""

DROPPED = frozenset(
    {"x-guidance", "$schema", "$dynamicAnchor", "$recursiveAnchor"}
    | {"title", "description", "default", "examples", "example", "$comment", "deprecated"}
    | {"readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema"}
)
"""llguidance's own options, which are ours to set; older drafts, in which it would know fewer
keywords; names of places to which no reference can lead; and what is for readers alone.
"""

MAX_NUMBER = 2**53
"""In `enum` and `const`. Beyond it digits are lost, and llguidance crashes at some numbers."""

MAX_DEPTH = 100
MAX_SIZE = 20_000
"""Of a schema: its keywords and values, some of which count several times."""
WEIGHTS = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), 20),
    **dict.fromkeys(("format", "multipleOf"), 40),
    **dict.fromkeys(("pattern", "minLength", "maxLength"), 5),
}
"""Keywords that take longer to compile than others."""
PATTERN_WEIGHT = 20
"""Of an entry of `patternProperties`."""
VALUE_WEIGHT = 5
"""Of a name in `required`, and of a list or an object in `enum` or `const`."""
MAX_REQUIRED = 32_768
"""Characters of the shortest text that a part of a schema allows: it may be all that can follow,
and would be written at once."""
MAX_PATH = 200
"""Characters of a path in an error."""
MAX_PROPERTIES = 500
MAX_PROPERTIES_IN_ALL = 5000
MAX_PATTERNS = 50
"""Properties, and patterns of properties, of one object: compiling takes time by their square."""
MAX_TOGETHER = 8
"""Patterns that one string must match: compiling takes time by a power of it."""
MAX_CHARACTERS = 2000
"""Of a name, of a value of `enum` or `const`, and of the shortest text that a pattern matches: it
would be written at once."""
MAX_PERIOD = 10_000
"""Numbers after which all multiples in a schema coincide: compiling takes time by its square."""

_SCHEMA_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_SCHEMA_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS = frozenset({"items", "additionalProperties"})

_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    "(?:(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-"
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP_YEAR}-02-29)"
)
_TIME = (
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
FORMATS = {"date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}T{_TIME}$"}
"""What RFC 3339 has, without leap seconds and the year 0, which few programs can read."""
ENFORCED_FORMATS = frozenset({"duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"})
"""Of these llguidance knows the grammar. Any other format is a note for the reader (JSON Schema
2020-12, validation, section 7.2.1).
"""


def json_schema_grammar(schema: dict[str, Any], *, param: str) -> JSONSchema:
    """A schema as a grammar.

    Args:
        schema: JSON Schema, draft 2020-12.
        param: where it stands in the request.

    Raises:
        UnsupportedParameter: a keyword cannot be enforced; `param` has its path.
        InvalidValue: the schema is too large, nested too deeply or not a schema.
    """
    return JSONSchema(json.dumps(enforceable(schema, param=param)), param)


def enforceable(schema: dict[str, Any], *, param: str) -> dict[str, Any]:
    """The schema in terms that can be enforced. Raises as `json_schema_grammar`."""
    try:
        result: dict[str, Any] = _Walk().schema(schema, param, 0)
    except RequestError as error:
        path = error.param or param
        raise type(error)(
            error.message.replace(path, _shortened(path)), param=_shortened(path)
        ) from None
    try:
        required = RequiredSizes(result).largest()
    except RecursionError:
        raise InvalidValue(f"{param} has references nested too deeply.", param=param) from None
    if required > MAX_REQUIRED:
        raise InvalidValue(
            f"{param} allows no answer, or no part of one, with less than {MAX_REQUIRED} "
            "characters. Require less of it.",
            param=param,
        )
    return result


def _shortened(path: str) -> str:
    """The ends of a path tell most."""
    half = MAX_PATH // 2 - 2
    return path if len(path) <= MAX_PATH else f"{path[:half]}...{path[-half:]}"


class _Walk:
    """One way through a schema, which adds up what compiling it takes."""

    def __init__(self) -> None:
        self._size = self._properties = 0
        self._multiples: set[Decimal] = set()

    def schema(self, schema: Any, path: str, depth: int) -> Any:
        self._count(path, depth)
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise InvalidValue(f"{path} must be a schema: an object or a boolean.", param=path)
        result = {
            keyword: self._keyword(keyword, value, f"{path}.{keyword}", depth + 1)
            for keyword, value in schema.items()
            if keyword not in DROPPED and not (keyword in _OFF_IF_FALSE and value is False)
        }
        self._key_count(schema, path)
        format = str(result.get("format"))
        pattern = FORMATS.get(format)
        if format not in ENFORCED_FORMATS:
            result.pop("format", None)
        if pattern is not None:
            result["allOf"] = [*result.get("allOf", ()), {"pattern": pattern}]
        return result

    def _keyword(self, keyword: str, value: Any, path: str, depth: int) -> Any:
        if keyword in UNSUPPORTED:
            raise UnsupportedParameter(
                f"{path}: the keyword {keyword} cannot be enforced. Leave it out.", param=path
            )
        if keyword in _SCHEMAS:
            return self.schema(value, path, depth)
        if keyword == "allOf":
            self._patterns_together(value, path)
        if keyword in _SCHEMA_LISTS:
            return [
                self.schema(item, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(self._list(value, path))
            ]
        if keyword in _SCHEMA_MAPS:
            return {
                name: self.schema(item, f"{path}.{name}", depth + 1)
                for name, item in self._map(value, path, keyword).items()
            }
        if keyword == "$ref":
            self._reference(value, path)
        elif keyword == "multipleOf":
            self._multiple(value, path)
        elif keyword == "pattern":
            self._pattern(value, path)
        elif keyword == "required":
            self._required(value, path)
        weight, exact = WEIGHTS.get(keyword, 1), keyword in ("enum", "const")
        self._value(value, path, depth, weight, exact=exact)
        return value

    def _list(self, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise InvalidValue(f"{path} must be a list of schemas.", param=path)
        return value

    def _map(self, value: Any, path: str, keyword: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise InvalidValue(f"{path} must be an object of schemas.", param=path)
        most = MAX_PATTERNS if keyword == "patternProperties" else MAX_PROPERTIES
        if len(value) > most:
            raise InvalidValue(f"{path} may have at most {most} entries.", param=path)
        self._properties += len(value)
        if self._properties > MAX_PROPERTIES_IN_ALL:
            raise InvalidValue(
                f"The schema has more than {MAX_PROPERTIES_IN_ALL} properties in all.", param=path
            )
        if keyword == "patternProperties":
            self._size += len(value) * PATTERN_WEIGHT
        for name in value:
            self._pattern(name, path) if keyword == "patternProperties" else self._text(name, path)
        return value

    def _text(self, text: str, path: str) -> None:
        if len(text) > MAX_CHARACTERS:
            raise InvalidValue(
                f"{path} has a text of {len(text)} characters; at most {MAX_CHARACTERS} are "
                "possible.",
                param=path,
            )

    def _required(self, value: Any, path: str) -> None:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise InvalidValue(f"{path} must be a list of names.", param=path)
        if len(value) > MAX_PROPERTIES:
            raise InvalidValue(f"{path} may have at most {MAX_PROPERTIES} names.", param=path)
        self._size += len(value) * (VALUE_WEIGHT - 1)

    def _pattern(self, value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise InvalidValue(f"{path} must be a regular expression.", param=path)
        if required_length(value) > MAX_CHARACTERS:
            raise InvalidValue(
                f"{path} repeats too much: it may ask for at most {MAX_CHARACTERS} characters.",
                param=path,
            )

    def _patterns_together(self, value: Any, path: str) -> None:
        together = sum(
            isinstance(item, dict) and "pattern" in item for item in self._list(value, path)
        )
        if together > MAX_TOGETHER:
            raise InvalidValue(
                f"{path} may have at most {MAX_TOGETHER} patterns for the same text.", param=path
            )

    def _key_count(self, schema: dict[str, Any], path: str) -> None:
        """A key that is written twice counts once, so a number of keys cannot be enforced."""
        least, required = schema.get("minProperties", 0), schema.get("required", ())
        known = len(required) if isinstance(required, (list, tuple)) else 0
        if isinstance(least, (int, float)) and least > max(1, known):
            raise UnsupportedParameter(
                f"{path}.minProperties cannot be enforced beyond 1. Name the properties in "
                "required.",
                param=f"{path}.minProperties",
            )

    def _reference(self, value: Any, path: str) -> None:
        if not isinstance(value, str) or not _leads_to_a_schema(value):
            raise InvalidValue(
                f"{path} must lead to a place in the same schema, such as #/$defs/item.", param=path
            )

    def _multiple(self, value: Any, path: str) -> None:
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise InvalidValue(f"{path} must be a number greater than 0.", param=path)
        self._multiples.add(Decimal(str(value)))
        digits = max(-int(each.as_tuple().exponent) for each in self._multiples)
        scaled = (int(each.scaleb(max(digits, 0))) for each in self._multiples)
        if math.lcm(*scaled) > MAX_PERIOD:
            raise InvalidValue(
                f"{path}: the multiples of a schema must coincide within {MAX_PERIOD} steps of "
                "their last digit. Take rounder numbers.",
                param=path,
            )

    def _value(
        self, value: Any, path: str, depth: int, weight: int = 1, *, exact: bool = False
    ) -> None:
        """A value that has no schemas in it; an answer may have to be exactly that."""
        self._count(path, depth, weight)
        if isinstance(value, str):
            self._text(value, path)
        elif exact and isinstance(value, (int, float)) and not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise InvalidValue(f"{path} must be a number between -2^53 and 2^53.", param=path)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                weight = VALUE_WEIGHT if isinstance(item, (dict, list)) else 1
                self._value(item, f"{path}[{index}]", depth + 1, weight, exact=exact)
        elif isinstance(value, dict):
            for name, item in value.items():
                self._text(name, path)
                self._value(item, f"{path}.{name}", depth + 1, exact=exact)

    def _count(self, path: str, depth: int, weight: int = 1) -> None:
        if depth > MAX_DEPTH:
            raise InvalidValue(f"{path} is nested too deeply.", param=path)
        self._size += weight
        if self._size > MAX_SIZE:
            raise InvalidValue(
                f"The schema is too large, from {path} on. At most {MAX_SIZE} keywords and values "
                "are possible; formats, patterns and bounds count several times.",
                param=path,
            )


def _leads_to_a_schema(reference: str) -> bool:
    """Whether a JSON pointer stays where schemas are, all of which were looked at."""
    if reference == "#":
        return True
    start, *tokens = reference.split("/")
    rest = iter(tokens)
    return start == "#" and all(
        keyword in _SCHEMAS
        or (keyword in _SCHEMA_MAPS | _SCHEMA_LISTS and next(rest, None) is not None)
        for keyword in rest
    )
