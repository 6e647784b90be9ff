"""Tools of all kinds: what compiles of their schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_llama.chat.tools.tool import Tool, ToolChoice
from edge_llama.chat.tools.tool_grammar import tool_grammar
from edge_llama.chat.tools.tool_parameters import Effort, ToolParameters
from edge_llama.engine import binding
from edge_llama.engine.sample.constraint_compiler import ConstraintCompiler
from edge_llama.errors import RequestError
from tests.chat.grammar.wild_schemas import MCP_TOOLS, ODD_PARTS, within

DEMO = Path("models/demo/edge-llama-demo.gguf")


@pytest.fixture(scope="module")
def vocab() -> Iterator[binding.Vocab]:
    model = binding.Model(DEMO, gpu_layers=0, repack=False)
    yield model.vocab
    model.close()


@pytest.fixture(scope="module")
def compiler(vocab: binding.Vocab) -> ConstraintCompiler:
    return ConstraintCompiler(vocab)


def tool(name: str, parameters: dict[str, Any], **fields: Any) -> Tool:
    function = {"name": name, "parameters": parameters, **fields}
    return Tool({"type": "function", "function": function})


def test_all_compile_at_once(compiler: ConstraintCompiler) -> None:
    """The tools of a server come together; one that does not compile would block them all."""
    tools = [tool(f"t{n}", schema) for n, schema in enumerate(MCP_TOOLS.values())]
    for start in range(0, len(tools), 32):
        grammar = tool_grammar(
            tools[start : start + 32],
            ToolChoice(),
            tagged=False,
            parameters=ToolParameters(Effort.PLAIN),
        )
        compiler.compile(grammar)


@pytest.mark.parametrize("name", MCP_TOOLS)
def test_most_compile_with_all_that_a_grammar_has(compiler: ConstraintCompiler, name: str) -> None:
    parameters = ToolParameters(Effort.FULL)
    grammar = tool_grammar(
        [tool("t", MCP_TOOLS[name])], ToolChoice(), tagged=False, parameters=parameters
    )
    if name.startswith("choices that are not apart") or name == "a choice at the top":
        with pytest.raises(RequestError):
            compiler.compile(grammar)
        return
    constraint = compiler.compile(grammar)
    assert constraint is not None


@pytest.mark.parametrize("effort", [Effort.FULL, Effort.PLAIN, Effort.OBJECTS])
@pytest.mark.parametrize("name", ["not", "look-ahead", "a tuple of draft 7", "nullable"])
def test_what_is_meant_can_be_said(
    compiler: ConstraintCompiler, vocab: binding.Vocab, name: str, effort: Effort
) -> None:
    part, value = ODD_PARTS[name]
    grammar = tool_grammar(
        [tool("t", within(part)["property"])],
        ToolChoice(),
        tagged=False,
        parameters=ToolParameters(effort),
    )
    constraint = compiler.compile(grammar)
    text = f'{{"name": "t", "parameters": {json.dumps({"value": value, "id": "1"})}}}'
    for token in vocab.tokenize(text):
        assert constraint.accept(token)
    assert constraint.complete or constraint.accept(vocab.eos)


def test_a_strict_tool_is_enforced_whole_or_refused() -> None:
    odd = {"type": "object", "properties": {"a": {"not": {}}}}
    parameters = ToolParameters(Effort.FULL)
    parameters.of(tool("f", odd), "p")
    assert parameters.left_out == ["p.properties.a.not"]
    for effort in Effort:
        with pytest.raises(RequestError, match="the keyword not cannot be enforced"):
            ToolParameters(effort).of(tool("f", odd, strict=True), "p")
    with pytest.raises(RequestError):
        ToolParameters(Effort.STRICT).of(tool("f", odd), "p")


def test_names_that_are_not_described_may_be_there() -> None:
    schema = ToolParameters(Effort.FULL).of(tool("f", {"properties": {}, "required": ["a"]}), "p")
    assert schema.get("additionalProperties", True) is True
    closed = ToolParameters(Effort.FULL).of(tool("f", {"properties": {"a": {}}}), "p")
    assert closed["additionalProperties"] is False


def test_what_is_no_object_is_left_open() -> None:
    parameters = ToolParameters(Effort.FULL)
    assert parameters.of(tool("f", {"type": "array"}), "p") == {"type": "object"}
    assert parameters.left_out == ["p.type"]
