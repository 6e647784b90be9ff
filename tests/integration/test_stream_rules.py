"""The rules that streams keep, read from the bytes on the wire."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.integration.test_wire import connect, post

GREETING = "Hello! How can I help you today?"
HELLO = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "temperature": 0}


def received(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and payload of a chunked response."""
    raw = b""
    while not raw.endswith(b"0\r\n\r\n"):
        data = connection.recv(65536)
        assert data, "the connection ended before the response did"
        raw += data
    head, _, body = raw.partition(b"\r\n\r\n")
    payload = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        payload += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return head, payload


def chunks_of(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a stream, which keeps all rules about its bytes."""
    with closing(connect(url)) as connection:
        connection.sendall(post({**body, "stream": True}))
        head, payload = received(connection)
    head = head.lower()
    assert head.startswith(b"http/1.1 200 ")
    assert b"\r\ncontent-type: text/event-stream" in head
    assert b"\r\ncache-control: no-cache" in head
    assert b"\r\nx-accel-buffering: no" in head
    assert payload.isascii()
    assert b"\r" not in payload
    *frames, done, rest = payload.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    assert all(frame.startswith(b"data: {") and b"\n" not in frame for frame in frames)
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames]
    assert not any("error" in chunk for chunk in chunks)
    assert len({(c["id"], c["created"], c["model"], c["object"]) for c in chunks}) == 1
    return chunks


def choices_of(chunks: list[dict[str, Any]], index: int) -> list[dict[str, Any]]:
    """What the chunks say of one choice: role first and once, the reason last and alone."""
    choices = [
        choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index
    ]
    *rest, last = choices
    assert [choice["delta"].get("role") for choice in rest] == ["assistant"] + [None] * (
        len(rest) - 1
    )
    assert all("role" in choice["delta"] or choice["delta"] for choice in rest)
    assert all(choice["finish_reason"] is None for choice in rest)
    assert last["delta"] == {}
    assert last["finish_reason"] is not None
    return choices


def text_of(choices: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def whole(url: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = httpx.post(f"{url}/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_one_choice(demo_url: str) -> None:
    chunks = chunks_of(demo_url, HELLO)
    choices = choices_of(chunks, 0)
    assert text_of(choices) == GREETING
    assert (choices[-1]["finish_reason"], choices[-1]["stop_reason"]) == ("stop", None)
    assert all(len(chunk["choices"]) == 1 and "usage" not in chunk for chunk in chunks)


def test_several_choices_start_in_order(demo_url: str) -> None:
    body = {**HELLO, "n": 3, "temperature": 1.5, "max_tokens": 8}
    chunks = chunks_of(demo_url, body)
    started = [c["index"] for chunk in chunks for c in chunk["choices"] if "role" in c["delta"]]
    assert started == [0, 1, 2]
    for index in range(3):
        assert text_of(choices_of(chunks, index))


def test_usage_comes_last_and_alone(demo_url: str) -> None:
    *rest, last = chunks_of(demo_url, {**HELLO, "stream_options": {"include_usage": True}})
    assert last["choices"] == []
    assert last["usage"] == whole(demo_url, HELLO)["usage"] | {
        "prompt_tokens_details": last["usage"]["prompt_tokens_details"]
    }
    assert all(chunk.get("usage") is None for chunk in rest)


def test_length_and_stop_are_told(demo_url: str) -> None:
    cut = choices_of(chunks_of(demo_url, {**HELLO, "max_tokens": 3}), 0)
    assert cut[-1]["finish_reason"] == "length"
    stopped = choices_of(chunks_of(demo_url, {**HELLO, "stop": ["you", "xyz"]}), 0)
    assert (stopped[-1]["finish_reason"], stopped[-1]["stop_reason"]) == ("stop", "you")


@pytest.mark.parametrize("length", [1, 2, 7])
def test_no_part_of_a_stop_string_leaks(demo_url: str, length: int) -> None:
    for start in range(0, len(GREETING) - length, 3):
        stop = GREETING[start : start + length]
        chunks = chunks_of(demo_url, {**HELLO, "stop": stop})
        assert text_of(choices_of(chunks, 0)) == GREETING[: GREETING.index(stop)]


@pytest.mark.parametrize("word", ["Hola", "Привет", "你好", "こんにちは", "مرحبا", "नमस्ते"])
def test_no_character_is_split(demo_url: str, word: str) -> None:
    body = {**HELLO, "messages": [{"role": "user", "content": word}]}
    text = text_of(choices_of(chunks_of(demo_url, body), 0))
    assert text
    assert "\ufffd" not in text
    assert text == whole(demo_url, body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("seed", range(5))
def test_deltas_are_the_whole_answer_at_the_same_seed(demo_url: str, seed: int) -> None:
    body = {**HELLO, "temperature": 2, "top_p": 1, "seed": seed, "max_tokens": 60}
    choices = choices_of(chunks_of(demo_url, body), 0)
    [choice] = whole(demo_url, body)["choices"]
    assert text_of(choices) == choice["message"]["content"]
    assert choices[-1]["finish_reason"] == choice["finish_reason"]
