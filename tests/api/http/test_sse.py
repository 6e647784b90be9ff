from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from edge_llama.api.errors import ClientDisconnected, ServerStopping
from edge_llama.api.http import sse
from edge_llama.api.http.sse import DONE, HIGH_WATER, AcceptedStream, EventStream, frame
from edge_llama.errors import EngineDied, EngineUnavailable
from tests.api.asgi_call import AsgiCall, until
from tests.virtual_time import in_virtual_time, now

NONE: Mapping[str, str] = {}
DIED = EngineDied("The engine ended.")


class Frames:
    """A stream of frames, seconds to sleep, or errors to raise; notes whether it was closed.

    Args:
        events: of the accepted stream.
        before: what happens until it is accepted.
        headers: of the response.
    """

    def __init__(
        self,
        *events: bytes | float | Exception,
        before: Sequence[float | Exception] = (),
        headers: Mapping[str, str] = NONE,
    ) -> None:
        self.closed = False
        self._open = False
        self._events = events
        self._before = before
        self._headers = headers

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AcceptedStream]:
        try:
            for event in self._before:
                await happen(event)
            yield AcceptedStream(self._frames(), self._headers)
        finally:
            self.closed = not self._open

    async def _frames(self) -> AsyncGenerator[bytes, None]:
        self._open = True
        try:
            for event in self._events:
                if isinstance(event, bytes):
                    yield event
                else:
                    await happen(event)
        finally:
            self._open = False


async def happen(event: float | Exception) -> None:
    if isinstance(event, Exception):
        raise event
    await asyncio.sleep(event)


def stream_of(
    *events: bytes | float | Exception,
    before: Sequence[float | Exception] = (),
    headers: Mapping[str, str] = NONE,
    keep_alive: float = 10.0,
) -> ASGIApp:
    return EventStream(
        Frames(*events, before=before, headers=headers).stream(), keep_alive=keep_alive
    )


async def stuck(frames: Frames) -> tuple[asyncio.Future[None], asyncio.Event]:
    """A response to a client that takes nothing, and the event with which the client leaves."""
    gone, sending = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sending.set()
            await asyncio.sleep(300)

    stream = EventStream(frames.stream(), keep_alive=10)
    task = asyncio.ensure_future(stream({"type": "http"}, receive, send))
    await sending.wait()
    return task, gone


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner), max_leaves=5))
def test_a_frame_is_one_ascii_line(value: Any) -> None:
    data = frame({"value": value})
    text = data.decode("ascii")
    assert text.startswith("data: ")
    assert text.endswith("\n\n")
    assert len(text.splitlines()) == 2
    assert json.loads(text.removeprefix("data: ")) == {"value": value}


@in_virtual_time
async def test_headers_and_end() -> None:
    call = AsgiCall(stream_of(frame({"a": 1}), DONE))
    await call.finished()
    assert call.status == 200
    assert call.headers["content-type"].startswith("text/event-stream")
    assert call.headers["cache-control"] == "no-cache"
    assert call.headers["x-accel-buffering"] == "no"
    assert call.body == b'data: {"a":1}\n\ndata: [DONE]\n\n'
    assert call.sent[-1]["more_body"] is False


@in_virtual_time
async def test_headers_go_out_on_acceptance() -> None:
    call = AsgiCall(stream_of(300.0))
    await until(lambda: call.status == 200)
    assert call.body == b""
    call.disconnect()
    await call.finished()


@in_virtual_time
async def test_headers_do_not_wait_for_ever() -> None:
    call = AsgiCall(stream_of(b"data: 1\n\n", before=[0.15], keep_alive=0.04))
    await until(lambda: call.status == 200)
    assert call.body == b""
    await call.finished()
    assert call.body.endswith(b"\ndata: 1\n\n")


@pytest.mark.parametrize("stream", [{"before": [DIED]}, {"before": [0.01, DIED]}, {}])
@in_virtual_time
async def test_an_error_before_the_headers_is_raised(stream: dict[str, Any]) -> None:
    call = AsgiCall(stream_of(DIED, **stream))
    with pytest.raises(EngineDied):
        await call.finished()
    assert call.sent == []


@in_virtual_time
async def test_headers_of_the_stream_go_out_when_it_is_accepted() -> None:
    call = AsgiCall(stream_of(b"data: 1\n\n", before=[0.01], headers={"X-More": "1"}))
    await call.finished()
    assert call.headers["x-more"] == "1"


@in_virtual_time
async def test_headers_that_come_too_late_are_left_out() -> None:
    late = stream_of(b"data: 1\n\n", before=[0.15], headers={"X-More": "1"}, keep_alive=0.04)
    call = AsgiCall(late)
    await call.finished()
    assert call.status == 200
    assert "x-more" not in call.headers


@in_virtual_time
async def test_an_error_after_late_headers_is_a_frame() -> None:
    call = AsgiCall(stream_of(before=[0.15, EngineUnavailable("No room.")], keep_alive=0.04))
    await call.finished()
    assert call.status == 200
    assert json.loads(call.body.strip().removeprefix(b"data: "))["error"]["message"] == "No room."


@in_virtual_time
async def test_what_is_ready_goes_out_in_one_write() -> None:
    call = AsgiCall(stream_of(b"one", b"two", b"three", 0.01, b"four"))
    await call.finished()
    assert [message["body"] for message in call.sent[1:]] == [b"onetwothree", b"four", b""]


@in_virtual_time
async def test_silence_is_broken_by_newlines() -> None:
    call = AsgiCall(stream_of(b"data: 1\n\n", 0.2, b"data: 2\n\n", keep_alive=0.04))
    await call.finished()
    between = call.body.removeprefix(b"data: 1\n\n").removesuffix(b"data: 2\n\n")
    assert set(between) == {ord("\n")}


@in_virtual_time
async def test_an_error_becomes_the_last_frame() -> None:
    call = AsgiCall(stream_of(b"data: 1\n\n", EngineDied("The engine ended."), DONE))
    await call.finished()
    first, last, rest = call.body.split(b"\n\n")
    assert (first, rest) == (b"data: 1", b"")
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error["message"] == "The engine ended."
    assert error["type"] == "server_error"
    assert call.sent[-1]["more_body"] is False


@in_virtual_time
async def test_a_bug_in_mid_stream_leaks_nothing() -> None:
    call = AsgiCall(stream_of(b"data: 1\n\n", RuntimeError("/secret/path")))
    await call.finished()
    assert b"secret" not in call.body
    assert b'"type":"server_error"' in call.body


@pytest.mark.parametrize("first", [b"data: 1\n\n", 0.0])
@in_virtual_time
async def test_a_disconnect_ends_the_stream_at_once(first: bytes | float) -> None:
    frames = Frames(first, 300.0)
    call = AsgiCall(EventStream(frames.stream(), keep_alive=10))
    await until(lambda: call.status == 200)
    assert not frames.closed
    call.disconnect()
    await call.finished()
    assert frames.closed


@in_virtual_time
async def test_a_disconnect_before_the_headers_sends_nothing() -> None:
    frames = Frames(before=[300.0])
    call = AsgiCall(EventStream(frames.stream(), keep_alive=10))
    await asyncio.sleep(0.01)
    call.disconnect()
    with pytest.raises(ClientDisconnected):
        await call.finished()
    assert frames.closed
    assert call.sent == []


@in_virtual_time
async def test_a_disconnect_while_the_client_is_slow_closes_the_frames() -> None:
    frames = Frames(b"x" * 2 * HIGH_WATER, b"y" * 2 * HIGH_WATER, 300.0)
    task, gone = await stuck(frames)
    gone.set()
    await task
    assert now() < 1
    assert frames.closed


@in_virtual_time
async def test_a_server_that_stops_says_so() -> None:
    frames = Frames(b"data: 1\n\n", 300.0)
    call = AsgiCall(EventStream(frames.stream(), keep_alive=10))
    await call.until_sent(b"data: 1")
    call.task.cancel()
    await call.finished()
    assert frames.closed
    assert b'data: {"error":{"message":"The server is stopping."' in call.body
    assert call.sent[-1]["more_body"] is False


@in_virtual_time
async def test_a_server_that_stops_before_the_headers_raises() -> None:
    call = AsgiCall(stream_of(before=[300.0]))
    await asyncio.sleep(0.01)
    call.task.cancel()
    with pytest.raises(ServerStopping):
        await call.finished()
    assert call.sent == []


@in_virtual_time
async def test_a_server_that_stops_does_not_wait_for_a_stuck_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "LAST_WORDS_SECONDS", 0.02)
    frames = Frames(b"one", 300.0)
    task, _ = await stuck(frames)
    task.cancel()
    await task
    assert now() < 1
    assert frames.closed


@in_virtual_time
async def test_a_slow_client_holds_the_frames_up() -> None:
    made = 0
    slow = asyncio.Event()

    async def frames() -> AsyncGenerator[bytes, None]:
        nonlocal made
        for _ in range(100):
            made += 1
            yield b"x" * 10_000

    @asynccontextmanager
    async def accepted() -> AsyncIterator[AcceptedStream]:
        yield AcceptedStream(frames())

    stream = EventStream(accepted(), keep_alive=10)
    received = 0

    async def receive() -> Message:
        await asyncio.sleep(300)
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
