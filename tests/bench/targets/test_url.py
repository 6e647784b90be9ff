"""Servers that are not ours: they know less, list models oddly and refuse what is new to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge_llama.bench.load.load import conversations, solo
from edge_llama.bench.targets.url import URLTarget
from edge_llama.errors import EngineError, SettingsError

Answer = tuple[int, Any]

MODELS: dict[str, Any] = {"object": "list", "data": [{"id": "odd:8b"}]}


class OddServer:
    """Answers chats with two words, as a server may that is no more than OpenAI-compatible."""

    def __init__(
        self,
        models: Answer = (200, MODELS),
        refuses: Callable[[dict[str, Any]], bool] = lambda _: False,
        usage: bool = True,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.heads: list[bytes] = []
        self._models = models
        self._refuses = refuses
        self._usage = usage

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        body = await reader.readexactly(length)
        status, answer = self._models if head.startswith(b"GET") else self._chat(json.loads(body))
        writer.write(b"HTTP/1.1 %d Whatever\r\n\r\n" % status)
        writer.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())
        await writer.drain()
        writer.close()

    def _chat(self, request: dict[str, Any]) -> Answer:
        if self._refuses(request):
            return 422, {"detail": "Extra inputs are not permitted"}
        self.requests.append(request)
        words = sum(len(message["content"].split()) for message in request["messages"])
        usage = {"prompt_tokens": 7 + 3 * words, "completion_tokens": 2}
        events = [
            {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
            {"choices": [{"index": 0, "delta": {"content": "Hello"}}]},
            {"choices": [{"delta": {"reasoning_content": "!"}, "finish_reason": None}]},
            {"choices": [{"delta": None, "finish_reason": "stop"}]},
            {"usage": usage, "error": None} if self._usage else {"choices": None},
        ]
        # No space after the colon, CRLF, comments: all of it is allowed.
        frames = [": ping\r\n\r\n", *(f"data:{json.dumps(event)}\r\n\r\n" for event in events)]
        return 200, "".join([*frames, "data: [DONE]\r\n\r\n"]).encode()


@asynccontextmanager
async def reached(server: OddServer, **options: Any) -> AsyncIterator[URLTarget]:
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening, URLTarget(f"http://127.0.0.1:{port}/v1/", **options) as target:
        yield target


async def test_tokens_are_counted_by_usage_and_times_by_text() -> None:
    server = OddServer()
    async with reached(server) as target:
        (stream,) = await target.run(solo(300, 64), seed=1)
    assert target.model == "odd:8b"
    assert stream.prompt_tokens == pytest.approx(300, abs=2)
    assert stream.output_tokens == 2
    assert stream.cached_tokens is None
    assert len(stream.times) == 2, "the role alone is no token"
    assert server.requests[-1]["max_tokens"] == 64
    assert server.requests[-1]["ignore_eos"] is True


async def test_a_second_turn_says_what_was_said() -> None:
    server = OddServer()
    async with reached(server) as target:
        first, second = await target.run(conversations(1, 80, 40), seed=1)
    messages = server.requests[-1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == "Hello"
    assert second.prompt_tokens > first.prompt_tokens


async def test_fields_that_are_refused_are_left_out() -> None:
    server = OddServer(refuses=lambda request: "ignore_eos" in request)
    async with reached(server) as target:
        await target.run(solo(50, 4), seed=1)
    assert "stream_options" in server.requests[-1]


@pytest.mark.parametrize(
    "models", [(404, {}), (200, {"models": []}), (200, {"data": []}), (200, []), (200, b"<html>")]
)
async def test_a_model_can_be_named_where_the_list_is_odd(models: Answer) -> None:
    with pytest.raises(EngineError if models[0] == 404 else SettingsError, match="models"):
        async with reached(OddServer(models)):
            pass
    async with reached(OddServer(models), model="mine", key="s3cret") as target:
        assert target.model == "mine"


async def test_the_key_is_sent() -> None:
    server = OddServer()
    async with reached(server, key="s3cret"):
        pass
    assert all(b"\r\nAuthorization: Bearer s3cret\r\n" in head for head in server.heads)


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (OddServer(refuses=lambda _: True), "answered 422"),
        (OddServer(usage=False), "no usage"),
    ],
)
async def test_what_cannot_be_measured_is_told(server: OddServer, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        async with reached(server):
            pass
