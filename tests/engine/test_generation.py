from __future__ import annotations

import asyncio

import pytest

from edge_llama.engine.generation import Generation
from edge_llama.engine.messages import FinishReason, Output, Timings
from edge_llama.errors import EngineDied, RequestTimedOut


def output(index: int = 0, finish: FinishReason | None = None) -> Output:
    return Output(1, index, (5,), (b"x",), Timings(0, 0, 0), finish=finish)


async def test_it_ends_when_every_choice_has_finished() -> None:
    generation = Generation(3, 2, abort=lambda index: None)
    expected = [output(0), output(1, FinishReason.STOP), output(0, FinishReason.LENGTH)]
    for item in expected:
        generation.feed(item)
    assert [item async for item in generation] == expected
    assert generation.complete


async def test_an_aborted_choice_gives_no_more_and_is_aborted_once() -> None:
    aborted: list[int | None] = []
    generation = Generation(3, 2, abort=aborted.append)
    generation.abort(1)
    generation.abort(1)
    for item in (output(1), output(1, FinishReason.ABORT), output(0, FinishReason.STOP)):
        generation.feed(item)
    assert [item.index async for item in generation] == [0]
    assert aborted == [1]


async def test_abort_wakes_a_waiting_iteration() -> None:
    aborted: list[int | None] = []
    generation = Generation(3, 1, abort=aborted.append)
    waiting = asyncio.create_task(anext(aiter(generation), None))
    await asyncio.sleep(0)
    generation.abort()
    assert await waiting is None
    assert aborted == [None]


async def test_the_engines_death_is_raised_after_what_came_before() -> None:
    generation = Generation(3, 1, abort=lambda index: None)
    generation.feed(output())
    generation.feed(EngineDied("gone"))
    assert await anext(generation) == output()
    with pytest.raises(EngineDied):
        await anext(generation)
    with pytest.raises(StopAsyncIteration):
        await anext(generation)


async def test_time_is_up_after_what_came_before() -> None:
    aborted: list[int | None] = []
    generation = Generation(3, 2, abort=aborted.append)
    generation.limit_time(0.02)
    generation.feed(output())
    assert await anext(generation) == output()
    with pytest.raises(RequestTimedOut, match=r"0\.02 s .* --request-timeout"):
        await anext(generation)
    assert aborted == [None]
    generation.feed(output(1, FinishReason.ABORT))
    with pytest.raises(StopAsyncIteration):
        await anext(generation)


async def test_what_ends_in_time_is_not_timed_out() -> None:
    finished, left = (Generation(3, 1, abort=lambda index: None) for _ in range(2))
    for generation in (finished, left):
        generation.limit_time(0.01)
    finished.feed(output(0, FinishReason.STOP))
    left.abort()
    await asyncio.sleep(0.03)
    assert [item.finish async for item in finished] == [FinishReason.STOP]
    assert [item async for item in left] == []
