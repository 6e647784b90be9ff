"""Requests of applications that cannot be installed here, as they send them, read as they read.

From the sources of Open WebUI (utils/middleware.py), Zed (open_ai.rs), Continue (OpenAI.ts), Home
Assistant (open_router/entity.py), vLLM (benchmarks/lib/endpoint_request_func.py), guidellm
(request_handlers.py) and aiperf (openai_chat.py).
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.clients.prompts import CAPITAL, CAPITAL_ANSWER, WEATHER, WEATHER_PARAMETERS

SYSTEM = {"role": "system", "content": "You are helpful."}
ASKED = {"role": "user", "content": CAPITAL}
IN_PARTS = {"role": "user", "content": [{"type": "text", "text": CAPITAL}]}
USAGE = {"include_usage": True}

CHATS: dict[str, dict[str, Any]] = {
    "open-webui": {
        "stream": True,
        "model": "demo",
        "messages": [SYSTEM, ASKED],
        "temperature": 0,
        "stream_options": USAGE,
    },
    "zed": {
        "model": "demo",
        "messages": [SYSTEM, ASKED],
        "stream": True,
        "stream_options": USAGE,
        "max_completion_tokens": 4096,
        "temperature": 0.0,
        "prompt_cache_key": "thread-1",
    },
    "continue": {
        "messages": [SYSTEM, IN_PARTS],
        "model": "demo",
        "max_tokens": 4096,
        "temperature": 0,
        "stream": True,
        "stop": ["<|end|>", "```", "/src/", "#- coding: utf-8", "\n\n\n"],
        "stream_options": USAGE,
    },
    "home-assistant": {
        "messages": [SYSTEM, ASKED],
        "model": "demo",
        "stream": True,
        "user": "01J8ZC",
        "provider": {"require_parameters": True},
        "temperature": 0,
    },
    "vllm-bench": {
        "model": "demo",
        "messages": [IN_PARTS],
        "max_completion_tokens": 32,
        "stream": True,
        "stream_options": USAGE,
        "temperature": 0,
    },
    "aiperf": {
        "messages": [ASKED],
        "model": "demo",
        "stream": True,
        "max_completion_tokens": 32,
        "stream_options": USAGE,
        "temperature": 0,
    },
    "sillytavern": {
        "messages": [SYSTEM, ASKED],
        "model": "demo",
        "temperature": 0,
        "max_tokens": 300,
        "stream": True,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_p": 1,
        "stop": [],
        "logit_bias": {},
        "seed": -1,
        "n": 1,
    },
}
LOAD: dict[str, dict[str, Any]] = {
    "vllm-bench": {**CHATS["vllm-bench"], "ignore_eos": True, "max_completion_tokens": 24},
    "aiperf": {
        **CHATS["aiperf"],
        "ignore_eos": True,
        "max_completion_tokens": 24,
        "min_tokens": 24,
    },
    "guidellm": {
        "model": "demo",
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "max_completion_tokens": 24,
        "ignore_eos": True,
        "messages": [IN_PARTS],
    },
}


def chunks_of(base_url: str, body: dict[str, Any], route: str = "chat/completions") -> list[Any]:
    """The chunks as the strictest of all readers gets them: each a line, each an object."""
    reply = httpx.post(f"{base_url}/{route}", json=body)
    assert reply.status_code == 200, reply.text
    lines = [line for line in reply.text.splitlines() if line.strip()]
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    for chunk in chunks:
        assert "error" not in chunk
        assert isinstance(chunk["choices"], list)
        assert isinstance(chunk.get("usage") or {}, dict)
        assert isinstance(chunk.get("timings", {}), dict)
    return chunks


def text_of(chunks: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


@pytest.mark.parametrize("application", CHATS)
def test_a_chat(base_url: str, application: str) -> None:
    assert text_of(chunks_of(base_url, CHATS[application])) == CAPITAL_ANSWER


@pytest.mark.parametrize("tool", ["open-webui", "guidellm", "aiperf", "vllm-bench"])
def test_the_usage_that_is_shown(base_url: str, tool: str) -> None:
    """Open WebUI adds llama.cpp's timings to it; load generators count tokens by it."""
    chunks = chunks_of(base_url, {**CHATS, **LOAD}[tool])
    usage = chunks[-1]["usage"] | chunks[-1]["timings"]
    assert usage["completion_tokens"] == usage["predicted_n"]
    assert usage["prompt_tokens"] == usage["prompt_n"] + usage["cache_n"]
    assert usage["predicted_per_second"] > 0


@pytest.mark.parametrize("generator", LOAD)
def test_a_load_generator_gets_as_many_tokens_as_it_asked_for(
    base_url: str, generator: str
) -> None:
    chunks = chunks_of(base_url, LOAD[generator])
    assert chunks[-1]["usage"]["completion_tokens"] == 24
    first = next(chunk for chunk in chunks if chunk["choices"])
    assert "role" in first["choices"][0]["delta"]


def test_guidellm_counts_tokens_chunk_by_chunk(base_url: str) -> None:
    chunks = chunks_of(base_url, LOAD["guidellm"])
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 24)


@pytest.mark.parametrize("logprobs", [None, 1])
def test_vllm_bench_on_completions(base_url: str, logprobs: int | None) -> None:
    body = {
        "model": "demo",
        "prompt": "1, 2, 3, 4,",
        "repetition_penalty": 1.0,
        "max_tokens": 8,
        "logprobs": logprobs,
        "stream": True,
        "stream_options": USAGE,
        "ignore_eos": True,
    }
    chunks = chunks_of(base_url, body, "completions")
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
    assert chunks[-1]["usage"]["completion_tokens"] == 8


def test_a_title_is_made_without_a_stream(base_url: str) -> None:
    body = {"model": "demo", "messages": [ASKED], "stream": False, "max_completion_tokens": 1000}
    reply = httpx.post(f"{base_url}/chat/completions", json=body | {"temperature": 0})
    assert reply.json()["choices"][0]["message"]["content"] == CAPITAL_ANSWER


def test_tools_as_zed_and_home_assistant_read_them(base_url: str) -> None:
    """By index; arguments are text that grows; `tool_calls` is the reason even in a stream."""
    function = {"name": "get_weather", "description": None, "parameters": WEATHER_PARAMETERS}
    body = {
        "model": "demo",
        "messages": [{"role": "user", "content": WEATHER}],
        "stream": True,
        "stream_options": USAGE,
        "temperature": 0,
        "tools": [
            {"type": "function", "function": function},
            {"type": "function", "function": {"name": "ping", "parameters": None}},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }
    choices = [c for chunk in chunks_of(base_url, body) for c in chunk["choices"]]
    deltas = [d for c in choices for d in c["delta"].get("tool_calls", [])]
    first, *rest = deltas
    assert (first["index"], first["type"]) == (0, "function")
    assert first["function"] == {"name": "get_weather", "arguments": ""}
    assert first["id"]
    assert all(delta.keys() == {"index", "function"} for delta in rest)
    arguments = "".join(delta["function"]["arguments"] for delta in deltas)
    assert json.loads(arguments) == {"city": "Paris"}
    assert choices[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("body", [{"tools": []}, {"tools": None, "tool_choice": "auto"}])
def test_no_tools_at_all(base_url: str, body: dict[str, Any]) -> None:
    assert text_of(chunks_of(base_url, CHATS["open-webui"] | body)) == CAPITAL_ANSWER


@pytest.mark.parametrize(
    "path",
    ["/api/tags", "/api/version", "/api/v0/models", "/v1/fim/completions"],
)
def test_probes_for_other_servers_learn_that_this_is_none(server_url: str, path: str) -> None:
    reply = httpx.get(server_url + path)
    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "invalid_request_error"
