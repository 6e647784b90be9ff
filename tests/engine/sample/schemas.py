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

SCHEMAS |= {
    "large numbers": {"type": "number", "minimum": 1e5, "maximum": 1e7},
    "tiny numbers": {"type": "number", "minimum": 1e-5, "maximum": 2e-5},
    "negative zero": {"type": "number", "minimum": -0.0, "maximum": 0.0},
    "integers between fractions": {"type": "integer", "minimum": 0.5, "exclusiveMaximum": 4.0},
    "negative multiples": {"type": "number", "multipleOf": 0.25, "minimum": -3, "maximum": 3},
    "multiple of 1.5": {"type": "integer", "multipleOf": 1.5, "minimum": 0, "maximum": 99},
    "two multiples": {"type": "integer", "allOf": [{"multipleOf": 4}, {"multipleOf": 6}]},
    "odd values": {"enum": ["é", "\u2028", 'a"b', "\\", "😀", "\t", "", 1.5, 0, 1.0, [], {}]},
    "integers at the edge": {"const": [2**53, -(2**53), 10**15 + 1]},
    "const object": {"const": {"b": [1, {"c": None}], "a": 'é"', "": 0.1}},
    "required but no property": {"properties": {"a": COUNT}, "required": ["b", "a"]},
    "required of a pattern": {
        "type": "object",
        "patternProperties": {"^z": {"type": "null"}},
        "required": ["zz"],
        "additionalProperties": False,
    },
    "patterns and others": {
        "type": "object",
        "patternProperties": {"^x": {"type": "null"}, "^yb$": {"type": "boolean"}},
        "additionalProperties": COUNT,
        "maxProperties": 4,
    },
    "property of a pattern too": {
        "type": "object",
        "properties": {"xa": COUNT},
        "patternProperties": {"^x": {"type": "integer", "maximum": 5}},
        "additionalProperties": False,
    },
    "bounds that narrow": {"allOf": [COUNT, {"minimum": 10}, {"exclusiveMaximum": 20}]},
    "properties that narrow": {
        "allOf": [
            {"properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]},
            {"type": "object", "properties": {"a": {"maximum": 9}}, "additionalProperties": False},
        ]
    },
    "enums that narrow": {"allOf": [{"enum": [1, 2, "a"]}, {"enum": [2, "a"]}, {"type": "string"}]},
    "enum and bounds": {"enum": [1, 5, 10, 20], "minimum": 4, "maximum": 12},
    "enum and pattern": {"enum": ["ab", "cd", "abc"], "pattern": "^ab"},
    "enum and type": {"type": ["string", "null"], "enum": ["a", 1, "bb", None], "maxLength": 1},
    "no type": {"minimum": 5, "maximum": 6, "maxLength": 2, "maxItems": 1, "maxProperties": 1},
    "a property that is never": {
        "type": "object",
        "properties": {"a": False},
        "additionalProperties": {"type": "null"},
    },
    "names with quotes and lines": obj(
        **{'q"': COUNT, "n\n": COUNT, "\u2028": COUNT, "\x01": COUNT}
    ),
    "escaped references": {
        "$defs": {"a/b~c": COUNT, "p%q": WORD},
        "type": "array",
        "prefixItems": [{"$ref": "#/$defs/a~1b~0c"}, {"$ref": "#/$defs/p%25q"}],
        "items": False,
        "minItems": 2,
    },
    "reference with siblings": {
        "$defs": {"n": {"type": "integer", "minimum": 3}},
        "type": "array",
        "items": {"$ref": "#/$defs/n", "maximum": 7},
        "maxItems": 4,
    },
    "pattern at the end": {"type": "string", "pattern": "ab$", "maxLength": 5},
    "anchors in a choice": {"type": "string", "pattern": "^a|b$", "maxLength": 4},
    "anchors in a group": {"type": "string", "pattern": "(^a|b)c", "maxLength": 5},
    "dot": {"type": "string", "pattern": "^a.c$"},
    "escapes": {"type": "string", "pattern": '^["\\\\/\\n\\t]{2}$'},
    "classes": {"type": "string", "pattern": "^\\d\\w\\s$"},
    "emoji count once": {
        "type": "string",
        "pattern": "^[😀-😂é]*$",
        "minLength": 2,
        "maxLength": 2,
    },
    "number of characters": {"type": "string", "minLength": 2, "maxLength": 2},
    "encoded": {"type": "string", "contentEncoding": "base64", "maxLength": 5},
    "anchors": {"$anchor": "a", "$dynamicAnchor": "b", "$recursiveAnchor": True, **COUNT},
    "an old draft": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "definitions": {"n": {"type": "integer", "minimum": 3}},
        **obj(a={"$ref": "#/definitions/n", "maximum": 7}, c={"const": 3}),
    },
    "a draft nobody knows": {"$schema": "http://127.0.0.1:9/x", "type": "boolean"},
    "own ids": {
        "type": "object",
        "properties": {
            "a": {"$id": "urn:q", "$ref": "#/$defs/n", "$defs": {"n": {"type": "null"}}}
        },
        "$defs": {"n": COUNT},
        "required": ["a"],
        "additionalProperties": False,
    },
}
