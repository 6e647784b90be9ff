from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.chat.tools.tool import BUILTIN_TOOLS
from edge_llama.chat.tools.tool_calls import (
    CallArguments,
    CallStarted,
    Part,
    ToolCallParser,
)

NAMES = ("get_weather", "get", "add")
TAG = "\0"
"""Stands for `<|python_tag|>` in the texts of these tests."""

ADD = '{"name": "add", "parameters": {"a": 1, "b": [2]}}'
GET = '{"name": "get", "parameters": {}}'


def call(name: str, arguments: str) -> list[Part]:
    return [CallStarted(name), CallArguments(arguments)]


def joined(parts: list[Part]) -> list[Part]:
    result: list[Part] = []
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, str) and isinstance(last, str):
            result[-1] = last + part
        elif isinstance(part, CallArguments) and isinstance(last, CallArguments):
            result[-1] = CallArguments(last.text + part.text)
        else:
            result.append(part)
    return result


def parse(
    *pieces: str, builtin: tuple[str, ...] = BUILTIN_TOOLS, complete: bool = True
) -> list[Part]:
    parser = ToolCallParser(NAMES, builtin)
    parts: list[Part] = []
    for piece in pieces:
        for position, text in enumerate(piece.split(TAG)):
            if position:
                parts += parser.control("<|python_tag|>")
            parts += parser.feed(text)
    parts += parser.flush(complete=complete)
    assert "" not in parts
    assert CallArguments("") not in parts
    return joined(parts)


CASES: dict[str, list[Part]] = {
    "": [],
    "Hello!": ["Hello!"],
    GET: call("get", "{}"),
    ADD: call("add", '{"a": 1, "b": [2]}'),
    f"{ADD}; {GET}; {ADD}": [
        *call("add", '{"a": 1, "b": [2]}'),
        *call("get", "{}"),
        *call("add", '{"a": 1, "b": [2]}'),
    ],
    f"Let me see.\n\n{ADD}": [
        "Let me see.\n\n",
        *call("add", '{"a": 1, "b": [2]}'),
    ],
    '{"name":"get_weather", "parameters": {"city": "\\"}{\\\\"}}': call(
        "get_weather", '{"city": "\\"}{\\\\"}'
    ),
    '{"type": "function", "name": "get", "parameters": {"a": {"b": "é😀"}}}': call(
        "get", '{"a": {"b": "é😀"}}'
    ),
    '{"name": "Anna", "age": 3}': ['{"name": "Anna", "age": 3}'],
    '{"name": "get", "age": 3}': ['{"name": "get", "age": 3}'],
    '{"name": "get_wea': ['{"name": "get_wea'],
    '{{"name": "get"} {"name": ': ['{{"name": "get"} {"name": '],
    f"{TAG}{ADD}": call("add", '{"a": 1, "b": [2]}'),
    f"So: {TAG}{ADD}; {GET}": [
        "So: ",
        *call("add", '{"a": 1, "b": [2]}'),
        *call("get", "{}"),
    ],
    f'{TAG}brave_search.call(query="who is é?")': call("brave_search", '{"query": "who is é?"}'),
    f'{TAG}wolfram_alpha.call(query="a"b")': call("wolfram_alpha", '{"query": "a\\"b"}'),
    f'{TAG}print("x")\nprint(6 * 7)': call(
        "code_interpreter", json.dumps({"code": 'print("x")\nprint(6 * 7)'})
    ),
    f"{TAG}brave_search = 1": call("code_interpreter", '{"code": "brave_search = 1"}'),
    f"{TAG}brave_sea": call("code_interpreter", '{"code": "brave_sea"}'),
    f"{TAG}{{}}": call("code_interpreter", '{"code": "{}"}'),
}


@pytest.mark.parametrize("text", CASES)
def test_answers(text: str) -> None:
    assert parse(text) == CASES[text]


@pytest.mark.parametrize("text", CASES)
def test_every_split_gives_the_same(text: str) -> None:
    for position in range(len(text) + 1):
        assert parse(text[:position], text[position:]) == CASES[text]
    assert parse(*text) == CASES[text]


@given(
    st.lists(st.sampled_from([*CASES, '"', "}", "; ", '{"name": "', "get", '", "parameters": ']))
)
def test_pieces_of_any_kind_give_the_same_as_the_whole(pieces: list[str]) -> None:
    assert parse(*pieces) == parse("".join(pieces)) == parse(*"".join(pieces))


@given(st.text())
def test_no_text_without_a_call_is_lost(text: str) -> None:
    text = text.replace(TAG, "")
    assert parse(*text) == ([text] if text else [])


@pytest.mark.parametrize("text", CASES)
def test_a_cut_answer_is_the_beginning_of_the_whole_one(text: str) -> None:
    whole = CASES[text]
    expected = [part for part in whole if not isinstance(part, str)]
    for end in range(len(text)):
        parts = parse(text[:end], builtin=BUILTIN_TOOLS[:2], complete=False)
        calls = [part for part in parts if not isinstance(part, str)]
        for part, full in zip(calls, expected, strict=False):
            if isinstance(part, CallArguments) and isinstance(full, CallArguments):
                assert full.text.startswith(part.text)
            else:
                assert part == full


def test_the_name_comes_before_the_arguments_and_text_is_not_held_back() -> None:
    parser = ToolCallParser(NAMES)
    assert list(parser.feed("Let me see")) == ["Let me see"]
    assert list(parser.feed(' {"na')) == [" "]
    assert list(parser.feed("ïve")) == ['{"naïve']
    assert list(parser.feed('{"name": "add", "parameters": ')) == []
    assert list(parser.feed('{"a')) == [CallStarted("add"), CallArguments('{"a')]
    assert list(parser.feed('": 1}')) == [CallArguments('": 1}')]
    assert list(parser.feed("}")) == []
    assert list(parser.flush(complete=True)) == []


SPELLINGS = (
    '{"name":"add", "parameters": {"a": 1}}',
    '{"name":"add","parameters":{"a": 1}}',
    '{"name": "add", "arguments": {"a": 1}}',
    '{"type": "function", "name": "add", "parameters": {"a": 1}}',
    '{"type":"function","name":"add","arguments":{"a": 1}}',
    '{\n  "name": "add",\n  "parameters": {"a": 1}}',
    '{\n    "type": "function",\n    "name": "add",\n    "parameters": {"a": 1}}',
    '```json\n{"name": "add", "parameters": {"a": 1}}',
)


@pytest.mark.parametrize("text", SPELLINGS)
def test_calls_in_other_spellings_are_calls(text: str) -> None:
    assert parse(text) == parse(*text) == call("add", '{"a": 1}')
    assert parse("So: ", text) == ["So: ", *call("add", '{"a": 1}')]


def test_without_builtin_tools_the_tag_only_announces_a_call() -> None:
    assert parse(f"{TAG}{GET}", builtin=()) == call("get", "{}")
    assert parse(f"{TAG}print(1)", builtin=()) == ["print(1)"]
