from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from edge_llama.chat.grammar.loosened import loosened
from tests.chat.grammar.wild_schemas import MCP_TOOLS, ODD_PARTS, within


def test_there_are_enough_of_them() -> None:
    assert len(MCP_TOOLS) > 117


@pytest.mark.parametrize("name", MCP_TOOLS)
def test_every_schema_is_taken_and_left_as_it_is(name: str) -> None:
    before = copy.deepcopy(MCP_TOOLS[name])
    loosened(MCP_TOOLS[name], param="s")
    loosened(MCP_TOOLS[name], param="s", plain=True)
    assert MCP_TOOLS[name] == before


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", ODD_PARTS)
def test_what_a_schema_means_to_allow_is_allowed(name: str, plain: bool) -> None:
    part, value = ODD_PARTS[name]
    values: dict[str, Any] = {
        "property": {"value": value, "id": "1"},
        "items": {"values": [value, value]},
        "definition": {"value": value},
    }
    for place, schema in within(part).items():
        found, _ = loosened(schema, param="s", plain=plain)
        jsonschema.Draft202012Validator(found).validate(values[place])


@pytest.mark.parametrize(
    ("part", "left_out"),
    [
        ({"not": {}}, ["s.properties.value.not"]),
        ({"uniqueItems": True, "contains": {}}, ["uniqueItems", "contains"]),
        ({"uniqueItems": False}, []),
        ({"pattern": "(?=a)"}, ["pattern"]),
        ({"type": "any"}, ["type"]),
        ({"required": True}, ["required"]),
        ({"$ref": "#/nowhere"}, ["$ref"]),
        ({"anyOf": [{"type": "string"}, {"not": {}}]}, ["anyOf[1].not"]),
        ({"description": "a" * 5000, "x-order": 1, "nullable": True}, []),
        ({"type": "STRING", "items": [{"type": "string"}]}, []),
    ],
)
def test_what_is_not_enforced_is_named(part: dict[str, Any], left_out: list[str]) -> None:
    schema = within(part)["property"]
    _, named = loosened(schema, param="s")
    start = "s.properties.value."
    assert named == [name if name.startswith("s.") else start + name for name in left_out]


def test_what_can_be_enforced_is() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1, "not": {"const": "Atlantis"}},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "unit": {"enum": ["C", "F"]},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    found, _ = loosened(schema, param="s")
    valid = jsonschema.Draft202012Validator(found)
    assert valid.is_valid({"city": "Paris", "days": 3})
    for wrong in ({}, {"city": ""}, {"city": "Paris", "days": 15}, {"city": "Paris", "x": 1}):
        assert not valid.is_valid(wrong)


def test_what_is_too_large_or_too_deep_is_left_open() -> None:
    deep: Any = {}
    for _ in range(2000):
        deep = {"items": deep}
    found, left_out = loosened({"properties": {"a": deep}}, param="s")
    assert found["properties"]["a"]
    assert left_out
    many = {"properties": {f"p{n}": {"enum": list(range(90))} for n in range(400)}}
    assert loosened(many, param="s") == ({}, ["s"])
