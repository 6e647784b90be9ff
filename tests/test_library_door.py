"""What people put into the public names: it works, or a typed error says what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_llama
from edge_llama import (
    ChatModel,
    ChatRequest,
    EdgeLlamaError,
    EngineSettings,
    Message,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
)
from edge_llama.chat.tools.tool import CallMode
from tests.fakes import FakeEngine

lib: Any = edge_llama


def test_plain_strings_and_dicts_are_messages() -> None:
    assert lib.Message("user", "Hello!") == Message(Role.USER, "Hello!")
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request = lib.ChatRequest(
        messages=[
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "5", "tool_call_id": "c1"},
        ],
        stop="x",
    )
    assert request == ChatRequest(
        messages=(
            Message(Role.USER, "Hello!"),
            Message(Role.ASSISTANT, "", (ToolCall("f", "{}", "c1"),)),
            Message(Role.TOOL, "5", (), "c1"),
        ),
        stop=("x",),
    )


def test_plain_dicts_are_tools() -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    whole = {"type": "function", "function": function}
    request = lib.ChatRequest(messages=[], tools=[function, whole, Tool(whole)], tool_choice="none")
    assert request.tools == (Tool(whole),) * 3
    assert request.tool_choice == ToolChoice(CallMode.NONE)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: lib.Message("usr", "Hello!"), "`role` must be one of system, user"),
        (lambda: lib.Message("user", None), "`content` must be a string"),
        (lambda: lib.Message("user", "x", "call"), "`tool_calls` must be a list of ToolCall"),
        (lambda: lib.ToolCall("f", {}), "`arguments` must be JSON text"),
        (lambda: lib.Tool("f"), "`tools` must be objects such as"),
        (lambda: lib.Tool({}).name, "`tools` must be objects such as"),
        (
            lambda: lib.ChatRequest(messages=[], tools=[{"name": "f", "parameters": [1]}]),
            "`parameters` must be a JSON Sch",
        ),
        (lambda: lib.ToolChoice("f"), "`tool_choice` must be"),
        (lambda: lib.ChatRequest(messages="Hello!"), "`messages` must be a list of Message"),
        (lambda: lib.ChatRequest(messages=["Hello!"]), "`messages` must be a list of Message"),
        (lambda: lib.ChatRequest(messages=[{"text": "x"}]), r"`messages\[0\]` must have a role"),
        (lambda: lib.ChatRequest(messages=[], tools="f"), "`tools` must be a list"),
        (lambda: lib.ChatRequest(messages=[], options={}), "`options` must be a Generation"),
        (lambda: lib.TextRequest(prompt=5), "`prompt` must be a string, or a list of token ids"),
        (lambda: lib.GenerationOptions(sampling={}), "`sampling` must be a SamplingParams"),
        (lambda: lib.GenerationOptions(grammar={}), "`grammar` must be .* json_schema_grammar"),
        (lambda: lib.GenerationOptions(max_tokens="5"), "`max_tokens` must be an integer"),
        (lambda: lib.GenerationOptions(n=True), "`n` must be an integer"),
        (lambda: lib.SamplingParams(temperature="0"), "temperature must be a number"),
        (lambda: lib.SamplingParams(logit_bias=[1]), "`logit_bias` must be a dict"),
        (lambda: lib.GenerationRequest(prompt="x"), "`prompt` must be a tuple of Text"),
        (lambda: lib.EngineSettings(model=5), "`model` must be the path"),
        (lambda: lib.EngineSettings(parallel="4"), "`parallel` must be an integer"),
        (lambda: lib.EngineSettings(request_timeout="4"), "`request_timeout` must be a number"),
        (lambda: lib.EngineSettings(disk_cache="/tmp"), "`disk_cache` must be CacheSettings"),
        (lambda: lib.CacheSettings(folder="x", max_bytes="1"), "`max_bytes` a number of bytes"),
        (lambda: lib.ServerSettings(port="x"), "`port` must be an integer"),
        (lambda: lib.plan(None), "name or path is a string"),
        (lambda: lib.plan("demo", memory=[1]), "`memory` must be bytes or a size"),
        (lambda: lib.plan("demo", settings={}), "`settings` must be EngineSettings"),
        (lambda: lib.resolve_model(None), "name or path is a string"),
        (lambda: lib.json_schema_grammar(None, param="schema"), "schema must be a schema"),
        (lambda: lib.ChatModel(EngineSettings()), "takes an AsyncEngine"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(make: Callable[[], object], wanted: str) -> None:
    with pytest.raises(EdgeLlamaError, match=wanted):
        make()


def test_a_path_is_a_model(tmp_path: Path) -> None:
    assert lib.EngineSettings(model=tmp_path / "x.gguf").model == str(tmp_path / "x.gguf")
    with pytest.raises(edge_llama.UnknownModel, match=r"x\.gguf"):
        edge_llama.plan(tmp_path / "x.gguf")


@pytest.mark.parametrize("method", ["start", "complete", "count", "tokenize_chat"])
@pytest.mark.parametrize("given", ["Hello!", {"messages": []}, None])
async def test_a_model_is_asked_with_a_request(method: str, given: object) -> None:
    with pytest.raises(EdgeLlamaError, match=r"`request` must be a (Chat|Text)Request, not"):
        await getattr(ChatModel(FakeEngine()), method)(given)
