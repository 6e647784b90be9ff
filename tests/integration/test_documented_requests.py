"""Documented requests, word for word, to a real server with the demo."""

from __future__ import annotations

import json

import httpx
import openai

from tests.documented_requests import CURL_BODY, HEADERS, JSON_BODY


def test_the_curl_call_streams_in_the_documented_order(demo_url: str) -> None:
    reply = httpx.post(f"{demo_url}/v1/chat/completions", headers=HEADERS, content=CURL_BODY)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    frames = reply.text.split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"]["role"] == "assistant"
    assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert choices[-1]["delta"] == {}
    assert choices[-1]["stop_reason"] is None
    assert {chunk["model"] for chunk in chunks} == {"meta/llama-3.1-70b-instruct"}
    text = "".join(c["delta"].get("content", "") for c in choices)
    assert text.startswith("Hello")


def test_the_json_body_gets_the_documented_answer(demo_url: str) -> None:
    reply = httpx.post(f"{demo_url}/v1/chat/completions", headers=HEADERS, content=JSON_BODY)
    answer = reply.json()
    assert {"id", "object", "created", "model", "choices", "usage"} <= answer.keys()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "meta/llama-3.1-70b-instruct"
    assert answer["choices"][0]["message"]["content"] == "Hello! How can I help you today?"
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_python_snippet_prints_a_greeting(demo_url: str) -> None:
    with openai.OpenAI(base_url=f"{demo_url}/v1", api_key="sk-aig-...") as client:
        stream = client.chat.completions.create(
            model="meta/llama-3.1-70b-instruct",
            messages=[{"role": "user", "content": "Hello!"}],
            stream=True,
        )
        printed = ""
        for chunk in stream:
            printed += chunk.choices[0].delta.content or ""
    assert printed.startswith("Hello")


def test_the_project_address_names_the_model(demo_url: str) -> None:
    url = f"{demo_url}/project/p-42/genai/llama3_1_8b_instruct/v1/chat/completions"
    body = {"messages": [{"role": "user", "content": "Hello!"}], "temperature": 0}
    reply = httpx.post(url, params={"project_id": 42}, json=body)
    assert reply.status_code == 200
    assert reply.json()["model"] == "llama3_1_8b_instruct"
    assert reply.json()["choices"][0]["message"]["content"] == "Hello! How can I help you today?"
    assert httpx.post(url, params={"project_id": "x"}, json=body).status_code == 400
