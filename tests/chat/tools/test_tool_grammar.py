"""What the grammar of tools lets a model say, on the demo model's vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.chat.tools.tool import BUILTIN_TOOLS, CallMode, Tool, ToolChoice
from edge_llama.chat.tools.tool_grammar import tool_grammar
from edge_llama.engine import binding
from edge_llama.engine.constraint import Constraint
from edge_llama.engine.protocol.grammar import Grammar, TriggeredCFG
from edge_llama.engine.sample.constraint_compiler import ConstraintCompiler
from edge_llama.errors import InvalidValue, RequestError, UnsupportedParameter
from tests.chat.tools.test_tool_calls import SPELLINGS

DEMO = Path("models/demo/edge-llama-demo.gguf")
TAG = "<|python_tag|>"


def tool(name: str, parameters: dict[str, Any] | None = None, **properties: Any) -> Tool:
    if parameters is None:
        parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return Tool({"type": "function", "function": {"name": name, "parameters": parameters}})


WEATHER = tool("get_weather", city={"type": "string"})
ADD = tool("add", a={"type": "integer"}, b={"type": "integer"})
NOW = Tool({"type": "function", "function": {"name": "now"}})
TOOLS = (WEATHER, ADD, NOW)
AUTO = ToolChoice()

CALL_NOW = '{"name": "now", "parameters": {}}'
CALL_ADD = '{"name": "add", "parameters": {"a": 1, "b": 2}}'


class Speaker:
    """Tells whether a text is possible under a grammar."""

    def __init__(self, vocab: binding.Vocab) -> None:
        self._vocab = vocab
        self._compiler = ConstraintCompiler(vocab)

    def can_say(self, grammar: Grammar, text: str) -> bool:
        constraint = self._compiler.compile(grammar)
        for token in self._tokens(text):
            if not self._allows(constraint, token) or not constraint.accept(token):
                return False
        return constraint.complete or self._allows(constraint, self._vocab.eos)

    def tokens_after(self, grammar: Grammar, text: str) -> list[str]:
        """The printable tokens that may follow a text."""
        constraint = self._compiler.compile(grammar)
        for token in self._tokens(text):
            assert constraint.accept(token)
        pieces = {token: self._vocab.piece(token) for token in range(self._vocab.n_tokens)}
        return [
            piece.decode()
            for token, piece in pieces.items()
            if piece.isascii()
            and piece
            and self._allows(constraint, token)
            and constraint.copy().accept(token)
        ]

    def _allows(self, constraint: Constraint, token: int) -> bool:
        logits = np.zeros(self._vocab.n_tokens, np.float32)
        constraint.mask(logits)
        return bool(logits[token] == 0)

    def _tokens(self, text: str) -> list[int]:
        before, tag, after = text.partition(TAG)
        tokens = self._vocab.tokenize(before)
        if tag:
            tokens += [self._vocab.control_tokens[TAG], *self._vocab.tokenize(after)]
        return tokens


@pytest.fixture(scope="module")
def speaker() -> Iterator[Speaker]:
    model = binding.Model(DEMO, gpu_layers=0, repack=False)
    yield Speaker(model.vocab)
    model.close()


@pytest.mark.parametrize("builtin", [(), BUILTIN_TOOLS])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello there! {not a call}",
        '{"nam',
        'Anna is {"name": "Anna"}.',
        '{"type": "function", "name": "other", "x": 2}',
        CALL_NOW,
        CALL_ADD,
        f"Sure.\n{CALL_ADD}",
        'Sure. {"name":"add", "parameters": {"a": -1, "b": 20}}',
        '{"type": "function", "name": "now", "parameters": {}}',
        f"{CALL_NOW}; {CALL_ADD}; {CALL_NOW}",
        f"{TAG}{CALL_ADD}",
        f"Text. {TAG}{CALL_ADD}; {CALL_NOW}",
        '{"name": "get_weather", "parameters": {"city": "\\"}{\\n é"}}',
    ],
)
def test_what_is_possible(speaker: Speaker, text: str, builtin: tuple[str, ...]) -> None:
    assert speaker.can_say(tool_grammar(TOOLS, AUTO, builtin=builtin), text)


@pytest.mark.parametrize("builtin", [(), BUILTIN_TOOLS])
@pytest.mark.parametrize(
    "text",
    [
        '{"name"',
        '{"name": "Anna"}',
        '{"name": "add"}',
        f"{CALL_NOW} Done.",
        f"{CALL_NOW}, {CALL_NOW}",
        f'{CALL_NOW}; {{"name": "other", "parameters": {{}}}}',
        '{"name": "now", "parameters": {"zone": 1}}',
        'Sure. {"name": "add", "parameters": {"a": 1}}',
        'Sure. {"name": "add", "parameters": {"a": 1, "b": 2, "c": 3}}',
        f'{TAG}{{"name": "add", "parameters": {{"a": 1}}}}',
    ],
)
def test_what_is_not(speaker: Speaker, text: str, builtin: tuple[str, ...]) -> None:
    assert not speaker.can_say(tool_grammar(TOOLS, AUTO, builtin=builtin), text)


def test_a_token_that_ends_an_opening_goes_on_as_arguments_do(speaker: Speaker) -> None:
    grammar = tool_grammar(TOOLS, AUTO)
    for opening in ('{"name": "add", "parameters":', 'So {"name":"add", "parameters":'):
        after = speaker.tokens_after(grammar, opening)
        assert any(text[0] == " " for text in after)
        assert ("x" in after) == opening.startswith("So")
    after = speaker.tokens_after(grammar, '{"name": "add", "parameters":')
    assert all(f"{text}{{".startswith(" {") for text in after)


@pytest.mark.parametrize("text", SPELLINGS)
def test_other_spellings_are_held_to_the_schema(speaker: Speaker, text: str) -> None:
    grammar = tool_grammar(TOOLS, AUTO)
    whole = text.replace('"a": 1', '"a": 1, "b": 2')
    assert speaker.can_say(grammar, f"So: {whole}")
    assert not speaker.can_say(grammar, f"So: {text}")


def test_builtin_tools(speaker: Speaker) -> None:
    search = f'{TAG}brave_search.call(query="llamas")'
    code = f'{TAG}print("x")\nx = 1'
    for builtin, possible in (
        ((), []),
        (("brave_search",), [search]),
        (("code_interpreter",), [search, code]),
        (BUILTIN_TOOLS, [search, code]),
    ):
        for text in (search, code):
            grammar = tool_grammar(TOOLS, AUTO, builtin=builtin)
            assert speaker.can_say(grammar, text) == (text in possible)
    alone = tool_grammar((), ToolChoice(CallMode.REQUIRED), builtin=("brave_search",))
    assert speaker.can_say(alone, search)
    assert not speaker.can_say(alone, "Hello")


def test_required_and_named(speaker: Speaker) -> None:
    required = tool_grammar(TOOLS, ToolChoice(CallMode.REQUIRED))
    assert speaker.can_say(required, f"{CALL_NOW}; {CALL_ADD}")
    assert not speaker.can_say(required, "Hello")
    named = tool_grammar(TOOLS, ToolChoice(CallMode.REQUIRED, frozenset({"add"}), parallel=False))
    assert speaker.can_say(named, CALL_ADD)
    assert not speaker.can_say(named, CALL_NOW)
    assert not speaker.can_say(named, f"{CALL_ADD}; {CALL_ADD}")


def test_allowed_tools(speaker: Speaker) -> None:
    grammar = tool_grammar(TOOLS, ToolChoice(names=frozenset({"add"})))
    assert speaker.can_say(grammar, CALL_ADD)
    assert speaker.can_say(grammar, "Hello")
    assert not speaker.can_say(grammar, CALL_NOW)


def test_one_call_at_a_time(speaker: Speaker) -> None:
    grammar = tool_grammar(TOOLS, ToolChoice(parallel=False))
    assert speaker.can_say(grammar, CALL_ADD)
    assert not speaker.can_say(grammar, f"{CALL_ADD}; {CALL_ADD}")


def test_a_form_or_a_call(speaker: Speaker) -> None:
    person = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
        "required": ["name", "age"],
        "additionalProperties": False,
        "$defs": {"age": {"type": "integer"}},
    }
    # The same reference, to something else.
    other = tool("other", parameters={**person, "$defs": {"age": {"type": "string"}}})
    grammar = tool_grammar(
        (*TOOLS, other), AUTO, form=json_schema_grammar(person, param="response_format")
    )
    assert speaker.can_say(grammar, '{"name": "Anna", "age": 3}')
    assert speaker.can_say(grammar, '{"name": "now", "age": 3}')
    assert speaker.can_say(grammar, CALL_NOW)
    assert speaker.can_say(grammar, '{"name": "other", "parameters": {"name": "Anna", "age": "3"}}')
    assert not speaker.can_say(grammar, '{"name": "Anna", "age": "3"}')
    assert not speaker.can_say(grammar, "Hello")


@pytest.mark.parametrize(
    ("parameters", "arguments", "possible"),
    [
        ({}, '{"a": 1}', False),
        ({"type": "object"}, '{"a": 1}', True),
        ({"type": "object", "properties": {}}, '{"a": 1}', False),
        ({"properties": {"a": {}}}, '{"a": 1}', True),
        ({"properties": {"a": {}}}, '{"b": 1}', False),
        ({"properties": {"a": {}}, "additionalProperties": True}, '{"b": 1}', True),
        ({"anyOf": [{"required": ["a"]}], "properties": {"b": {}}}, '{"a": 1}', True),
        ({"properties": {"a": {}}}, "[]", False),
    ],
)
def test_arguments_are_an_object_without_surprises(
    speaker: Speaker, parameters: dict[str, Any], arguments: str, possible: bool
) -> None:
    grammar = tool_grammar([tool("f", parameters)], AUTO)
    text = f'{{"name": "f", "parameters": {arguments}}}'
    assert speaker.can_say(grammar, text) == possible


def test_a_vocabulary_without_the_tag(speaker: Speaker) -> None:
    grammar = tool_grammar(TOOLS, AUTO, tagged=False)
    assert isinstance(grammar, TriggeredCFG)
    assert TAG not in grammar.text
    assert not grammar.control
    assert speaker.can_say(grammar, CALL_NOW)
    with pytest.raises(InvalidValue, match="no token <"):
        tool_grammar((), AUTO, builtin=BUILTIN_TOOLS, tagged=False)


def test_odd_names(speaker: Speaker) -> None:
    for name in ("a.b", "a:b/c", "a-b_c", "A" * 128):
        grammar = tool_grammar([tool(name)], AUTO)
        assert speaker.can_say(grammar, f'{{"name": "{name}", "parameters": {{}}}}')


@pytest.mark.parametrize(
    ("parameters", "error", "param"),
    [
        ({"type": "string"}, InvalidValue, "tools[1].function.parameters.type"),
        (
            {"properties": {"a": {"not": {}}}},
            UnsupportedParameter,
            "tools[1].function.parameters.properties.a.not",
        ),
        (
            {"properties": {"a": {"$ref": "http://127.0.0.1/a"}}},
            InvalidValue,
            "tools[1].function.parameters.properties.a.$ref",
        ),
    ],
)
def test_parameters_that_cannot_be_enforced(
    parameters: dict[str, Any], error: type[RequestError], param: str
) -> None:
    with pytest.raises(error) as caught:
        tool_grammar([NOW, tool("f", parameters)], AUTO)
    assert caught.value.param == param
