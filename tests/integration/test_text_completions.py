"""Text completions and tokens of a real server with the demo model."""

from __future__ import annotations

import json
import math

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

PROMPT = (
    "<|start_header_id|>user<|end_header_id|>\n\nHello!<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
GREETING = "Hello! How can I help you today?"


def tokenize(url: str, **body: object) -> list[int]:
    tokens: list[int] = httpx.post(f"{url}/tokenize", json=body).raise_for_status().json()["tokens"]
    return tokens


def test_a_text_with_control_tokens_is_continued(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="demo", prompt=PROMPT, temperature=0)
    assert answer.choices[0].text == GREETING
    assert answer.choices[0].finish_reason == "stop"
    chunks = client.completions.create(model="demo", prompt=PROMPT, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == GREETING


def test_a_conversation_is_tokenized_as_it_is_charged(client: openai.OpenAI, demo_url: str) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello! <|eot_id|>"}]
    tokens = tokenize(demo_url, messages=messages)
    answer = client.chat.completions.create(model="demo", messages=messages, max_tokens=1)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(tokens)


def test_the_log_likelihood_of_a_prompt(client: openai.OpenAI, demo_url: str) -> None:
    """What lm-eval sends and reads: the continuation's part of an echoed prompt."""
    context = tokenize(demo_url, prompt=PROMPT)
    whole = [*context, *tokenize(demo_url, prompt=GREETING, add_special_tokens=False)]
    told = []
    for _ in range(2):  # the second time the prompt is cached
        answer = client.completions.create(
            model="demo",
            prompt=[whole, whole[:-1]],
            echo=True,
            logprobs=1,
            max_tokens=1,
            temperature=0,
        )
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 2 * len(whole) - 1
        logprobs = [choice.logprobs for choice in answer.choices]
        assert all(each is not None for each in logprobs)
        told.append([each.token_logprobs for each in logprobs if each is not None])
        for tokens, each in zip((whole, whole[:-1]), logprobs, strict=True):
            assert each is not None
            assert each.token_logprobs is not None
            assert each.top_logprobs is not None
            assert len(each.token_logprobs) == len(tokens) + 1
            assert each.token_logprobs[0] is None
            continuation = range(len(context), len(tokens))
            for at in continuation:
                assert each.token_logprobs[at] == max(each.top_logprobs[at].values())
            assert math.exp(sum(each.token_logprobs[at] for at in continuation)) > 0.3
    for first, second in zip(*told, strict=True):
        assert first[1:] == pytest.approx(second[1:], abs=1e-2)


def test_tokens_there_and_back(demo_url: str) -> None:
    tokens = tokenize(demo_url, prompt="Grüße, 👋")
    body = {"tokens": tokens}
    found = httpx.post(f"{demo_url}/v1/detokenize", json=body).json()["prompt"]
    assert found == "<|begin_of_text|>Grüße, 👋"
    info = httpx.get(f"{demo_url}/tokenizer_info").json()
    [eos] = tokenize(demo_url, prompt=info["eos_token"], add_special_tokens=False)
    assert (
        httpx.post(f"{demo_url}/detokenize", json={"tokens": [eos]}).json()["content"]
        == (info["eos_token"])
    )


def test_the_progress_of_a_long_prompt(demo_url: str) -> None:
    body = {
        "model": "demo",
        "messages": [{"role": "user", "content": "a long prompt " * 150}],
        "max_tokens": 2,
        "stream": True,
        "return_progress": True,
    }
    lines = httpx.post(f"{demo_url}/v1/chat/completions", json=body).text.split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if "{" in line]
    told = [chunk["prompt_progress"] for chunk in chunks if "prompt_progress" in chunk]
    reading = [each for each in told if each["queue_position"] is None]
    done = [each["processed"] for each in reading]
    assert len(done) >= 3
    assert done == sorted(done)
    assert (done[-1], reading[-1]["eta_ms"]) == (reading[-1]["total"], 0)
    assert all(each["time_ms"] > 0 and each["eta_ms"] is not None for each in reading)
