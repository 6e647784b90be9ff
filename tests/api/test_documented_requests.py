"""Documented requests get replies of the documented shape."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.documented_requests import CURL_BODY, HEADERS, JSON_BODY

PROJECT_PATH = "/project/p-1234/genai/llama3_1_8b_instruct/v1/chat/completions"


def holds(reply: Any, expected: Any) -> bool:
    """Every key and entry of `expected` is in `reply` with a value of the same kind."""
    if isinstance(expected, dict):
        return all(key in reply and holds(reply[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(reply) == len(expected) and all(map(holds, reply, expected))
    return type(reply) is type(expected)


async def test_the_curl_call(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/chat/completions", content=CURL_BODY, headers=HEADERS)
    assert response.status_code == 200
    events = response.text.split("\n\n")
    deltas = [json.loads(event[6:])["choices"][0]["delta"] for event in events[:-2]]
    assert deltas[0]["role"] == "assistant"
    assert deltas[1] == {"content": "Hello"}
    assert deltas[2] == {"content": "!"}
    assert deltas[-1] == {}
    assert events[-2:] == ["data: [DONE]", ""]


async def test_the_json_body(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/chat/completions", content=JSON_BODY, headers=HEADERS)
    assert response.status_code == 200
    expected = {
        "id": "chatcmpl-abc123",
        "object": "chat.completion",
        "created": 1776947082,
        "model": "meta/llama-3.1-70b-instruct",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello! How can I help you today?"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 24, "completion_tokens": 12, "total_tokens": 36},
    }
    assert holds(response.json(), expected)
    assert response.json()["model"] == expected["model"]
    assert response.json()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("query", ["", "?project_id=1234"])
async def test_the_project_address(client: httpx.AsyncClient, query: str) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    response = await client.post(PROJECT_PATH + query, json=body)
    assert response.status_code == 200
    assert response.json()["model"] == "llama3_1_8b_instruct"


async def test_the_projects_stream(client: httpx.AsyncClient) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
    response = await client.post(PROJECT_PATH + "?project_id=1234", json=body)
    events = response.text.split("\n\n")
    first = json.loads(events[0][6:])
    assert holds(
        first,
        {
            "id": "chat-b3b5ae1d266c428f894f05e33a39ea5b",
            "object": "chat.completion.chunk",
            "created": 1738752367,
            "model": "llama3_1_8b_instruct",
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant"},
                    "logprobs": None,
                    "finish_reason": None,
                }
            ],
        },
    )
    last = json.loads(events[-3][6:])["choices"][0]
    assert (last["finish_reason"], last["stop_reason"]) == ("stop", None)
    assert events[-2:] == ["data: [DONE]", ""]
