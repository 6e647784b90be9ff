from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from edge_llama.api import sse
from edge_llama.api.sse import DONE, HIGH_WATER, EventStream, frame
from edge_llama.errors import EngineDied
from tests.api.asgi_call import AsgiCall, until


class Owner:
    """Notes that it was entered and left."""

    def __init__(self) -> None:
        self.entered = False
        self.left = False

    async def __aenter__(self) -> None:
        self.entered = True

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.left = True


async def frames_of(events: Sequence[bytes | float | Exception]) -> AsyncIterator[bytes]:
    """Frames, seconds to sleep, or an error to raise."""
    for event in events:
        if isinstance(event, Exception):
            raise event
        if isinstance(event, float):
            await asyncio.sleep(event)
        else:
            yield event


def stream_of(
    *events: bytes | float | Exception, owner: Owner | None = None, keep_alive: float = 10.0
) -> ASGIApp:
    return EventStream(frames_of(events), owner=owner or Owner(), keep_alive=keep_alive)


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner), max_leaves=5))
def test_a_frame_is_one_ascii_line(value: Any) -> None:
    data = frame({"value": value})
    text = data.decode("ascii")
    assert text.startswith("data: ")
    assert text.endswith("\n\n")
    assert len(text.splitlines()) == 2
    assert json.loads(text.removeprefix("data: ")) == {"value": value}


async def test_headers_and_end() -> None:
    call = AsgiCall(stream_of(frame({"a": 1}), DONE))
    await call.finished()
    assert call.status == 200
    assert call.headers["content-type"].startswith("text/event-stream")
    assert call.headers["cache-control"] == "no-cache"
    assert call.headers["x-accel-buffering"] == "no"
    assert call.body == b'data: {"a":1}\n\ndata: [DONE]\n\n'
    assert call.sent[-1]["more_body"] is False


async def test_headers_come_before_the_first_frame() -> None:
    call = AsgiCall(stream_of(30.0))
    await until(lambda: call.status == 200)
    assert call.body == b""
    call.disconnect()
    await call.finished()


async def test_what_is_ready_goes_out_in_one_write() -> None:
    call = AsgiCall(stream_of(b"one", b"two", b"three", 0.01, b"four"))
    await call.finished()
    assert [message["body"] for message in call.sent[1:]] == [b"onetwothree", b"four", b""]


async def test_silence_is_broken_by_newlines() -> None:
    call = AsgiCall(stream_of(b"data: 1\n\n", 0.2, b"data: 2\n\n", keep_alive=0.04))
    await call.finished()
    between = call.body.removeprefix(b"data: 1\n\n").removesuffix(b"data: 2\n\n")
    assert set(between) == {ord("\n")}


async def test_an_error_becomes_the_last_frame() -> None:
    call = AsgiCall(stream_of(b"data: 1\n\n", EngineDied("The engine ended."), DONE))
    await call.finished()
    first, last, rest = call.body.split(b"\n\n")
    assert (first, rest) == (b"data: 1", b"")
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error["message"] == "The engine ended."
    assert error["type"] == "server_error"
    assert call.sent[-1]["more_body"] is False


async def test_a_bug_in_mid_stream_leaks_nothing() -> None:
    call = AsgiCall(stream_of(RuntimeError("/secret/path")))
    await call.finished()
    assert b"secret" not in call.body
    assert b'"type":"server_error"' in call.body


async def test_a_disconnect_ends_the_stream_at_once() -> None:
    owner = Owner()
    call = AsgiCall(stream_of(b"data: 1\n\n", 30.0, owner=owner))
    await call.until_sent(b"data: 1")
    assert owner.entered
    assert not owner.left
    call.disconnect()
    await call.finished()
    assert owner.left


async def test_a_client_that_was_gone_before_the_stream_leaves_nothing_behind() -> None:
    owner = Owner()
    call = AsgiCall(stream_of(30.0, owner=owner))
    call.disconnect()
    await call.finished()
    assert owner.left


async def test_a_server_that_stops_says_so() -> None:
    owner = Owner()
    call = AsgiCall(stream_of(b"data: 1\n\n", 30.0, owner=owner))
    await call.until_sent(b"data: 1")
    call.task.cancel()
    await call.finished()
    assert owner.left
    assert b'data: {"error":{"message":"The server is stopping."' in call.body
    assert call.sent[-1]["more_body"] is False


async def test_a_server_that_stops_does_not_wait_for_a_stuck_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "LAST_WORDS_SECONDS", 0.02)
    owner = Owner()
    stuck = asyncio.Event()

    async def receive() -> Message:
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            stuck.set()
            await asyncio.sleep(30)

    task = asyncio.ensure_future(stream_of(b"one", owner=owner)({"type": "http"}, receive, send))
    await stuck.wait()
    task.cancel()
    await asyncio.wait_for(task, 1)
    assert owner.left


async def test_a_slow_client_holds_the_frames_up() -> None:
    made = 0
    slow = asyncio.Event()

    async def frames() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(100):
            made += 1
            yield b"x" * 10_000

    stream = EventStream(frames(), owner=Owner(), keep_alive=10)
    received = 0

    async def receive() -> Message:
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal received
        received += len(message.get("body", b""))
        if message["type"] == "http.response.body":
            await slow.wait()

    task = asyncio.create_task(stream({"type": "http"}, receive, send))
    await asyncio.sleep(0.05)
    assert made * 10_000 - received <= HIGH_WATER + 10_000
    slow.set()
    await asyncio.wait_for(task, 5)
    assert received == 1_000_000
