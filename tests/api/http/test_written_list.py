"""JSON that is written while an answer is made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from edge_llama.api.http.written_list import JSONList, WrittenList, json_pieces

ENTRIES: list[list[Any]] = [[1.5, None], [], [{"token": "é\u2028\0\"'", "top": [[]]}]]


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_it_is_written_as_the_list_would_be(ensure_ascii: bool) -> None:
    written, empty = WrittenList[Any](), WrittenList[Any]()
    for entries in ENTRIES:
        written.add(entries)
    copied = written.copy()
    copied.add([2])
    value = {"é": "ü", "a": [written, empty], "b": copied, "c": [0]}
    text = b"".join(json_pieces(value, ensure_ascii=ensure_ascii))
    whole = [entry for entries in ENTRIES for entry in entries]
    assert json.loads(text) == {"é": "ü", "a": [whole, []], "b": [*whole, 2], "c": [0]}
    assert text.isascii() is ensure_ascii


def test_what_was_added_together_is_one_piece() -> None:
    written = WrittenList[Any]()
    for _ in range(3):
        written.add([{"token": "x"}] * 2)
    pieces = list(written.pieces())
    assert pieces == [b'[{"token":"x"},{"token":"x"}', *[b',{"token":"x"},{"token":"x"}'] * 2, b"]"]


def test_other_objects_are_no_json() -> None:
    with pytest.raises(TypeError, match="object is not JSON"):
        list(json_pieces({"a": object()}))


def test_the_documentation_shows_a_list() -> None:
    schema = TypeAdapter(JSONList[int]).json_schema()
    assert schema == {"type": "array", "items": {"type": "integer"}}
