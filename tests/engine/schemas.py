"""JSON Schemas of many kinds, each satisfiable and enforceable."""

from __future__ import annotations

from typing import Any


def obj(**properties: Any) -> dict[str, Any]:
    """An object with these properties, all required, and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


WORD = {"type": "string", "maxLength": 12}
COUNT = {"type": "integer", "minimum": 0, "maximum": 999}

SCHEMAS: dict[str, dict[str, Any]] = {
    "any object": {"type": "object"},
    "anything": {},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "several types": {"type": ["string", "integer", "null"], "maxLength": 8},
    "order": obj(id=COUNT, customer=WORD, item=WORD, quantity=COUNT, price=COUNT, express={}),
    "nested": obj(a=obj(b=obj(c=obj(d=WORD)))),
    "optional": {
        "type": "object",
        "properties": {"a": WORD, "b": COUNT, "c": {"type": "boolean"}},
        "required": ["b"],
        "additionalProperties": False,
    },
    "open object": {"type": "object", "properties": {"a": COUNT}, "required": ["a"]},
    "map": {"type": "object", "additionalProperties": COUNT},
    "pattern properties": {
        "type": "object",
        "patternProperties": {"^x[0-9]$": COUNT, "^y[0-9]$": {"type": "boolean"}},
        "additionalProperties": False,
    },
    "required only": {"type": "object", "required": ["a", "b"], "additionalProperties": WORD},
    "enum": {"enum": ["red", "green", "blue", 1, None, True, ["x"], {"a": 1.5}]},
    "const": obj(kind={"const": "circle"}, radius=COUNT),
    "const with quotes": {"const": 'a "quoted" \\ back\tslash\nline é 😀'},
    "any of": {"anyOf": [obj(a=WORD), obj(b=COUNT), {"type": "null"}]},
    "one of": {"oneOf": [obj(kind={"const": "a"}, x=COUNT), obj(kind={"const": "b"}, y=WORD)]},
    "all of": {"allOf": [{"type": "object", "required": ["a"]}, obj(a={"type": "integer"})]},
    "all of bounds": {"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 70}]},
    "siblings": {"type": "integer", "anyOf": [{"minimum": 10, "maximum": 20}, {"const": 99}]},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-\\d{4}$"},
    "open pattern": {"type": "string", "pattern": "ab+c", "maxLength": 20},
    "pattern and length": {"type": "string", "pattern": "^[a-z]*$", "minLength": 2, "maxLength": 6},
    "lengths": {"type": "string", "minLength": 3, "maxLength": 5},
    "date-time": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "duration": {"type": "string", "format": "duration", "maxLength": 20},
    "email": {"type": "string", "format": "email", "maxLength": 30},
    "hostname": {"type": "string", "format": "hostname", "maxLength": 30},
    "ipv4": {"type": "string", "format": "ipv4"},
    "ipv6": {"type": "string", "format": "ipv6"},
    "uuid": {"type": "string", "format": "uuid"},
    "uri": {"type": "string", "format": "uri", "maxLength": 40},
    "integer bounds": {"type": "integer", "minimum": -17, "maximum": 1234},
    "exclusive bounds": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 3},
    "number bounds": {"type": "number", "minimum": -1.5, "maximum": 2.25},
    "number over": {"type": "number", "exclusiveMinimum": 0.5},
    "multiple": {"type": "integer", "multipleOf": 7},
    "multiple of a half": {"type": "number", "multipleOf": 0.5, "minimum": 0, "maximum": 100},
    "array": {"type": "array", "items": COUNT},
    "array bounds": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 4},
    "empty array": {"type": "array", "items": False},
    "tuple": {
        "type": "array",
        "prefixItems": [COUNT, WORD],
        "items": {"type": "boolean"},
        "minItems": 2,
        "maxItems": 4,
    },
    "array of objects": {"type": "array", "items": obj(x=COUNT, y=COUNT), "maxItems": 3},
    "recursion": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": COUNT,
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "next"],
                "additionalProperties": False,
            }
        },
    },
    "tree": {
        "type": "object",
        "properties": {"leaf": COUNT, "children": {"type": "array", "items": {"$ref": "#"}}},
        "additionalProperties": False,
    },
    "definitions": {"definitions": {"a": COUNT}, **obj(x={"$ref": "#/definitions/a"})},
    "one to three keys": {
        "type": "object",
        "additionalProperties": COUNT,
        "minProperties": 1,
        "maxProperties": 3,
    },
    "odd names": obj(**{'a "b"\\': COUNT, "ключ": WORD, "": COUNT, "a.b/c": {"type": "null"}}),
    "annotations": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "T",
        "description": "d",
        "examples": [1],
        "default": 3,
        "deprecated": False,
        "x-vendor": {"a": 1},
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
    },
}
