from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from edge_llama.api.errors import ClientDisconnected, ServerStopping
from edge_llama.api.http.disconnect import unless_disconnected
from tests.virtual_time import in_virtual_time


async def stays() -> Message:
    await asyncio.sleep(300)
    return {"type": "http.disconnect"}


async def leaves() -> Message:
    await asyncio.sleep(0.01)
    return {"type": "http.disconnect"}


async def answer() -> int:
    return 42


@in_virtual_time
async def test_the_result_is_returned() -> None:
    assert await unless_disconnected(stays, answer()) == 42


@in_virtual_time
async def test_an_error_is_raised() -> None:
    async def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await unless_disconnected(stays, fail())


@in_virtual_time
async def test_work_is_cancelled_when_the_client_leaves() -> None:
    work = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.sleep(300)
        finally:
            work.set()

    with pytest.raises(ClientDisconnected):
        await unless_disconnected(leaves, endless())
    assert work.is_set()


@in_virtual_time
async def test_finished_work_wins_over_a_client_that_left() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    assert await unless_disconnected(gone, answer()) == 42


@in_virtual_time
async def test_messages_before_the_disconnect_are_passed_over() -> None:
    messages: list[Message] = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return messages.pop(0)

    with pytest.raises(ClientDisconnected):
        await unless_disconnected(receive, asyncio.sleep(300))


@in_virtual_time
async def test_a_cancelled_request_is_a_stopping_server() -> None:
    task = asyncio.ensure_future(unless_disconnected(stays, asyncio.sleep(300)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(ServerStopping):
        await task
