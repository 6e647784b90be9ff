from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.chat.grammar.json_schema import (
    FORMATS,
    UNSUPPORTED,
    enforceable,
    json_schema_grammar,
)
from edge_llama.errors import RequestError, UnsupportedParameter
from tests.effort import at_most


def refusal(schema: Any) -> RequestError:
    with at_most(500), pytest.raises(RequestError) as caught:
        enforceable(schema, param="s")
    return caught.value


def test_what_can_be_enforced_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/x"}, "b": True},
        "$defs": {"x": {"anyOf": [{"enum": [1, None, {"not": 1}]}, {"type": "string"}]}},
        "uniqueItems": False,
        "$id": "kept",
    }
    result = enforceable(schema, param="s")
    assert result == {key: value for key, value in schema.items() if key != "uniqueItems"}
    grammar = json_schema_grammar(schema, param="s")
    assert (json.loads(grammar.text), grammar.param) == (result, "s")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("x-guidance", {"lenient": True}),
        ("$schema", "http://json-schema.org/draft-04/schema#"),
        ("$dynamicAnchor", "a"),
        ("$recursiveAnchor", True),
        ("title", "A"),
        ("description", "b" * 20_000),
        ("examples", ["c" * 5000]),
        ("default", {"d": "e" * 5000}),
    ],
)
def test_what_changes_nothing_here_is_dropped(keyword: str, value: Any) -> None:
    assert enforceable({"items": {keyword: value}}, param="s") == {"items": {}}


@pytest.mark.parametrize("keyword", sorted(UNSUPPORTED))
@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (lambda inner: inner, "s"),
        (lambda inner: {"properties": {"a": inner}}, "s.properties.a"),
        (lambda inner: {"patternProperties": {"a": inner}}, "s.patternProperties.a"),
        (lambda inner: {"$defs": {"a": inner}}, "s.$defs.a"),
        (lambda inner: {"anyOf": [{}, inner]}, "s.anyOf[1]"),
        (lambda inner: {"items": inner}, "s.items"),
        (lambda inner: {"prefixItems": [inner]}, "s.prefixItems[0]"),
        (lambda inner: {"additionalProperties": inner}, "s.additionalProperties"),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_path(
    schema: Any, path: str, keyword: str
) -> None:
    error = refusal(schema({keyword: {}}))
    assert isinstance(error, UnsupportedParameter)
    assert error.param == f"{path}.{keyword}"
    assert keyword in error.message


def nested(levels: int) -> Any:
    schema: Any = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def doubling(levels: int) -> Any:
    """Each definition requires the one before twice."""
    pair = [
        {
            "properties": {name: {"$ref": f"#/$defs/{i}"} for name in "ab"},
            "required": ["a", "b"],
        }
        for i in range(levels)
    ]
    defs = {"0": {"type": "null"}} | {str(i + 1): each for i, each in enumerate(pair)}
    return {"$ref": f"#/$defs/{levels}", "$defs": defs}


def chain(levels: int) -> Any:
    defs = {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(levels)}
    return {"$ref": "#/$defs/0", "$defs": {**defs, str(levels): {}}}


@pytest.mark.parametrize(
    ("schema", "param", "words"),
    [
        ({"items": 5}, "s.items", "must be a schema"),
        ({"anyOf": {}}, "s.anyOf", "list of schemas"),
        ({"properties": []}, "s.properties", "object of schemas"),
        ({"$ref": "http://127.0.0.1/a"}, "s.$ref", "same schema"),
        ({"$ref": "file:///etc/passwd"}, "s.$ref", "same schema"),
        ({"$ref": 5}, "s.$ref", "same schema"),
        ({"pattern": 5}, "s.pattern", "regular expression"),
        ({"pattern": "(a{1000}){1000}"}, "s.pattern", "repeats too much"),
        ({"pattern": "a{1000000000}"}, "s.pattern", "repeats too much"),
        ({"patternProperties": {"a{9999}": {}}}, "s.patternProperties", "repeats too much"),
        (
            {"patternProperties": {str(i): {} for i in range(51)}},
            "s.patternProperties",
            "at most 50",
        ),
        ({"allOf": [{"pattern": "a"}] * 9}, "s.allOf", "at most 8 patterns"),
        ({"properties": {str(i): {} for i in range(501)}}, "s.properties", "at most 500"),
        ({"properties": {"a" * 2001: {}}}, "s.properties", "2001 characters"),
        ({"const": "a" * 2001}, "s.const", "2001 characters"),
        ({"enum": [{"a": ["a" * 2001]}]}, "s.enum[0].a[0]", "2001 characters"),
        ({"enum": list(range(20_001))}, "s.enum[19998]", "too large"),
        ({"enum": [[i] for i in range(4000)]}, "s.enum[3333]", "too large"),
        ({"anyOf": [{"format": "email"}] * 600}, "s.anyOf[487].format", "too large"),
        ({"enum": [1, 2**53 + 1]}, "s.enum[1]", "between"),
        ({"const": {"a": -1e30}}, "s.const.a", "between"),
        ({"required": "ab"}, "s.required", "list of names"),
        ({"required": [str(i) for i in range(501)]}, "s.required", "at most 500"),
        ({"items": {"const": "a" * 1000}, "minItems": 33}, "s", "less than 32768"),
        ({"items": {"minItems": 200, "items": {"minItems": 200}}}, "s", "less than 32768"),
        ({"minLength": 10**9}, "s", "less than 32768"),
        ({"const": -(2**63)}, "s.const", "between"),
        ({"minLength": 1e999}, "s", "less than 32768"),
        (doubling(30), "s", "less than 32768"),
        (chain(250), "s", "nested too deeply"),
        (
            {"anyOf": [{"properties": {str(i): {} for i in range(500)}}] * 11},
            "s.anyOf[10].properties",
            "more than 5000 properties",
        ),
        ({"multipleOf": 0}, "s.multipleOf", "greater than 0"),
        ({"multipleOf": "1"}, "s.multipleOf", "greater than 0"),
        ({"multipleOf": 15485863}, "s.multipleOf", "rounder"),
        (
            {"allOf": [{"multipleOf": 7919}, {"multipleOf": 7907}]},
            "s.allOf[1].multipleOf",
            "rounder",
        ),
        ({"items": {"multipleOf": 1e-9}, "multipleOf": 3}, "s.multipleOf", "rounder"),
        ({"minProperties": 2}, "s.minProperties", "beyond 1"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_what_would_take_too_much_or_is_no_schema(schema: Any, param: str, words: str) -> None:
    error = refusal(schema)
    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize("keyword", ["unevaluatedProperties", "unevaluatedItems", "contains"])
def test_what_forbids_by_being_false_is_refused_too(keyword: str) -> None:
    assert refusal({"type": "object", keyword: False}).param == f"s.{keyword}"


@pytest.mark.parametrize("name", ["password", "binary", "path", "uuid4"])
def test_a_format_that_nobody_enforces_is_a_note(name: str) -> None:
    assert enforceable({"type": "string", "format": name}, param="s") == {"type": "string"}


@pytest.mark.parametrize("reference", ["#/x", "#/$defs", "#/properties/a/default", "#/", "#name"])
def test_a_reference_leads_to_what_was_looked_at(reference: str) -> None:
    assert refusal({"$ref": reference, "x": {"not": {}}}).param == "s.$ref"
    for fine in ("#", "#/$defs/x", "#/properties/a/items", "#/anyOf/0/additionalProperties"):
        assert enforceable({"$ref": fine}, param="s") == {"$ref": fine}


def test_a_path_is_cut_in_the_middle() -> None:
    error = refusal({"properties": {"a" * 1900: {"items": {"not": {}}}}})
    assert error.param is not None
    assert error.param.startswith("s.properties.aaa")
    assert error.param.endswith("a.items.not")
    assert len(error.param) <= 200
    assert error.message.startswith(f"{error.param}: the keyword not")


def test_what_need_not_be_written_may_be_long() -> None:
    node = {"properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    for fine in (
        {"items": {"const": "a" * 1000}, "minItems": 30},
        {"items": {"const": "a" * 1000}, "maxItems": 10**9},
        {"anyOf": [{"minItems": 10}, node]},
        {"properties": {"a": {"$ref": "#/$defs/b~1c"}}, "$defs": {"b/c": {"maxLength": 10**9}}},
    ):
        assert enforceable(fine, param="s")


def test_depth() -> None:
    assert enforceable(nested(90), param="s")
    assert "nested too deeply" in refusal(nested(20_000)).message
    assert "nested too deeply" in refusal({"const": json.loads("[" * 900 + "]" * 900)}).message


def test_round_multiples_and_named_properties_are_fine() -> None:
    assert enforceable({"allOf": [{"multipleOf": 0.01}, {"multipleOf": 5}]}, param="s")
    assert enforceable({"multipleOf": 1e-9}, param="s")
    assert enforceable({"minProperties": 2, "required": ["a", "b"]}, param="s")


@pytest.mark.parametrize("name", FORMATS)
@given(st.data())
def test_formats_are_what_others_read(name: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(FORMATS[name], fullmatch=True)).rstrip("\n")
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    checker.check(text, name)


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_every_date_and_time_can_be_written(moment: datetime) -> None:
    for name, text in (
        ("date-time", moment.isoformat()),
        ("date", moment.date().isoformat()),
        ("time", moment.timetz().isoformat()),
    ):
        assert re.match(FORMATS[name], text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["properties", "items", "anyOf", "pattern", "multipleOf", "$ref", "format"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["properties", "allOf", "items", "required", "enum"]), JSON))
def test_anything_is_a_schema_or_refused_by_its_path(schema: dict[str, Any]) -> None:
    try:
        result = enforceable(schema, param="s")
    except RequestError as error:
        param = error.param or ""
    else:
        param = "s"
        assert isinstance(result, dict)
    assert param.startswith("s")
