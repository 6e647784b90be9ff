"""Schemas of tools as they are met: what generators, older drafts and other vendors write."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

ODD_PARTS: dict[str, tuple[Schema, Any]] = {
    "not": ({"not": {}}, None),
    "not a type": ({"type": "string", "not": {"enum": ["root"]}}, "me"),
    "property names": ({"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}}, {"a": 1}),
    "unique items": ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, ["a"]),
    "a tuple of draft 7": (
        {"type": "array", "items": [{"type": "number"}, {"type": "string"}]},
        [1, "a", True],
    ),
    "a closed tuple of draft 7": (
        {"type": "array", "items": [{"type": "number"}], "additionalItems": False},
        [1],
    ),
    "a tuple of 2020-12": ({"type": "array", "prefixItems": [{"type": "number"}]}, [1, "a"]),
    "look-ahead": ({"type": "string", "pattern": "^(?!admin).*$"}, "me"),
    "look-behind": ({"type": "string", "pattern": "(?<=a)b"}, "ab"),
    "a reference to a group": ({"type": "string", "pattern": r"^(a)\1$"}, "aa"),
    "a word boundary": ({"type": "string", "pattern": r"\bword\b"}, "a word"),
    "no regular expression": ({"type": "string", "pattern": "(["}, "x"),
    "a type in capitals": ({"type": "STRING", "format": "enum", "enum": ["A", "B"]}, "A"),
    "an object in capitals": (
        {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}},
        {"a": 1},
    ),
    "required in the property": ({"type": "string", "required": True}, "a"),
    "not required in the property": ({"type": "string", "required": False}, "a"),
    "a type that there is not": ({"type": "any"}, [1]),
    "a type of Python": ({"type": "str"}, "a"),
    "a list of types": ({"type": ["string", "null"]}, None),
    "an empty list of types": ({"type": []}, "a"),
    "nullable": ({"type": "string", "nullable": True}, None),
    "nullable values": ({"type": "string", "enum": ["a"], "nullable": True}, None),
    "if and then": (
        {
            "type": "object",
            "properties": {"kind": {"type": "string"}},
            "if": {"properties": {"kind": {"const": "a"}}},
            "then": {"required": ["x"]},
            "else": {"required": ["y"]},
        },
        {"kind": "b", "y": 1},
    ),
    "dependent names": (
        {"type": "object", "properties": {"a": {}}, "dependentRequired": {"a": ["b"]}},
        {"b": 1, "a": 2},
    ),
    "dependencies": (
        {"type": "object", "properties": {"a": {}}, "dependencies": {"a": ["b"]}},
        {},
    ),
    "patterns of properties": (
        {"type": "object", "patternProperties": {"^x-": {"type": "string"}}},
        {"x-a": "b"},
    ),
    "patterns that are beyond us": (
        {
            "type": "object",
            "patternProperties": {"^(?!x)": {"type": "string"}},
            "additionalProperties": False,
        },
        {"a": "b"},
    ),
    "contains": ({"type": "array", "contains": {"type": "integer"}}, ["a", 1]),
    "many properties": ({"type": "object", "minProperties": 3}, {"a": 1, "b": 2, "c": 3}),
    "no values": ({"type": "string", "enum": []}, "a"),
    "a value that is nothing": ({"enum": ["a", None]}, None),
    "values of numbers beyond": ({"enum": [2**60]}, 2**60),
    "a format of others": ({"type": "string", "format": "file-path"}, "/a"),
    "a reference that leads nowhere": ({"$ref": "#/definitions/missing"}, 1),
    "a reference to another place": ({"$ref": "https://example.org/schema.json"}, 1),
    "a reference by a name": ({"$ref": "#thing"}, 1),
    "choices that are not apart": (
        {"oneOf": [{"type": "string"}, {"type": "string", "minLength": 2}]},
        "a",
    ),
    "all of several": (
        {"allOf": [{"type": "object", "properties": {"a": {}}}, {"required": ["a"]}]},
        {"a": 1},
    ),
    "a schema that is true": ({"type": "array", "items": True}, [1]),
    "no additional properties, as text": (
        {"type": "object", "additionalProperties": "false"},
        {"a": 1},
    ),
    "no properties": ({"type": "object", "properties": {}, "required": []}, {}),
    "notes": (
        {
            "type": "string",
            "title": "A",
            "description": "b" * 20_000,
            "examples": ["c" * 5000],
            "default": None,
            "deprecated": True,
            "x-order": {"a": "d" * 5000},
            "$comment": "e" * 5000,
        },
        "a",
    ),
    "a multiple of a fraction": ({"type": "number", "multipleOf": 0.0001}, 0.5),
    "a multiple of nothing": ({"type": "number", "multipleOf": 0}, 1),
    "bounds of draft 4": (
        {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        5,
    ),
    "a length as text": ({"type": "string", "minLength": "1"}, "a"),
    "Go's times": ({"type": "string", "format": "date-time"}, "2026-12-01T10:00:00Z"),
    "unevaluated properties": (
        {"type": "object", "properties": {"a": {}}, "unevaluatedProperties": False},
        {"a": 1},
    ),
}
"""Odd parts of schemas, each with a value that it is meant to allow."""


def within(part: Schema) -> dict[str, Schema]:
    """Tools' schemas that have such a part, by where it is."""
    draft7 = "http://json-schema.org/draft-07/schema#"
    return {
        "property": {
            "$schema": draft7,
            "type": "object",
            "properties": {"value": part, "id": {"type": "string", "description": "An id."}},
            "required": ["value"],
            "additionalProperties": False,
        },
        "items": {
            "type": "object",
            "properties": {"values": {"type": "array", "items": part}},
            "required": ["values"],
        },
        "definition": {
            "$defs": {"Part": part},
            "type": "object",
            "properties": {"value": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]}},
            "required": ["value"],
        },
    }


WHOLE: dict[str, Schema] = {
    "capitals": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]},
    "a name that is not described": {"type": "object", "properties": {}, "required": ["a"]},
    "no schema": {"type": "array"},
    "only a type": {"type": "object"},
    "a choice at the top": {
        "type": "object",
        "oneOf": [
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ],
    },
    "properties as a list": {"type": "object", "properties": [], "additionalProperties": False},
    "a thousand properties": {
        "type": "object",
        "properties": {f"p{n}": {"type": "string"} for n in range(1000)},
    },
}

MCP_TOOLS: dict[str, Schema] = {
    f"{name} in a {place}": schema
    for name, (part, _) in ODD_PARTS.items()
    for place, schema in within(part).items()
} | WHOLE
"""By name."""
