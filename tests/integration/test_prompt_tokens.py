"""Our prompts, token by token, against the official rendering tokenized by llama.cpp at once."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from edge_llama.chat.messages import Message, Role, ToolCall
from edge_llama.chat.template.llama3_template import Llama3Template
from edge_llama.chat.tools.tool import Tool
from edge_llama.engine.binding import Model, Vocab, init_backend
from edge_llama.engine.sample.constraint_compiler import ConstraintCompiler
from edge_llama.engine.worker.intake import Intake
from edge_llama.planning.locate import resolve_model

CORPUS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "chat" / "template" / "llama3_corpus.json").read_text(
        encoding="utf-8"
    )
)


@pytest.fixture(scope="module")
def vocab() -> Iterator[Vocab]:
    init_backend()
    model = Model(resolve_model("demo"), gpu_layers=0, repack=False)
    yield model.vocab
    model.close()


def official_tokens(vocab: Vocab, text: str) -> list[int]:
    """What llama.cpp makes of the whole string with control tokens recognised in it."""
    data = text.encode()
    ids = (ctypes.c_int32 * len(data))()
    n = llama_cpp.llama_tokenize(vocab._handle, data, len(data), ids, len(data), False, True)
    return list(ids[:n])


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case["name"])
def test_our_tokens_are_the_official_ones(vocab: Vocab, case: dict[str, Any]) -> None:
    messages = [
        Message(
            Role(m["role"]),
            m["content"],
            tuple(ToolCall(**call) for call in m.get("tool_calls", ())),
            m.get("tool_call_id"),
        )
        for m in case["messages"]
    ]
    prompt = Llama3Template().render(messages, tuple(map(Tool, case["tools"])))
    intake = Intake(vocab, n_ctx=10**6, compiler=ConstraintCompiler(vocab))
    assert intake.tokenize(prompt) == official_tokens(vocab, case["prompt"])
