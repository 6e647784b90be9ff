from __future__ import annotations

import asyncio

import pytest

from edge_llama.engine.client.generation import MAX_PENDING, Generation
from edge_llama.engine.protocol.output import FinishReason, Output, Timings
from edge_llama.errors import EngineDied, RequestTimedOut


def generation_of(n: int, aborted: list[int | None] | None = None) -> Generation:
    abort = (lambda index: None) if aborted is None else aborted.append
    return Generation(3, n, abort=abort, pause=lambda paused: None)


def output(index: int = 0, finish: FinishReason | None = None) -> Output:
    return Output(1, index, (5,), (b"x",), Timings(0, 0, 0), finish=finish)


async def test_it_ends_when_every_choice_has_finished() -> None:
    generation = generation_of(2)
    expected = [output(0), output(1, FinishReason.STOP), output(0, FinishReason.LENGTH)]
    for item in expected:
        generation.feed(item)
    assert [item async for item in generation] == expected
    assert generation.complete


async def test_an_aborted_choice_gives_no_more_and_is_aborted_once() -> None:
    aborted: list[int | None] = []
    generation = generation_of(2, aborted)
    generation.abort(1)
    generation.abort(1)
    for item in (output(1), output(1, FinishReason.ABORT), output(0, FinishReason.STOP)):
        generation.feed(item)
    assert [item.index async for item in generation] == [0]
    assert aborted == [1]


async def test_abort_wakes_a_waiting_iteration() -> None:
    aborted: list[int | None] = []
    generation = generation_of(1, aborted)
    waiting = asyncio.create_task(anext(aiter(generation), None))
    await asyncio.sleep(0)
    generation.abort()
    assert await waiting is None
    assert aborted == [None]


async def test_the_engines_death_is_raised_after_what_came_before() -> None:
    generation = generation_of(1)
    generation.feed(output())
    generation.feed(EngineDied("gone"))
    assert await anext(generation) == output()
    with pytest.raises(EngineDied):
        await anext(generation)
    with pytest.raises(StopAsyncIteration):
        await anext(generation)


async def test_time_is_up_after_what_came_before() -> None:
    aborted: list[int | None] = []
    generation = generation_of(2, aborted)
    generation.limit_time(0.02)
    generation.feed(output())
    assert await anext(generation) == output()
    with pytest.raises(RequestTimedOut, match=r"0\.02 s .* `request_timeout`"):
        await anext(generation)
    assert aborted == [None]
    generation.feed(output(1, FinishReason.ABORT))
    with pytest.raises(StopAsyncIteration):
        await anext(generation)


async def test_what_ends_in_time_is_not_timed_out() -> None:
    finished, left = (generation_of(1) for _ in range(2))
    for generation in (finished, left):
        generation.limit_time(0.01)
    finished.feed(output(0, FinishReason.STOP))
    left.abort()
    await asyncio.sleep(0.03)
    assert [item.finish async for item in finished] == [FinishReason.STOP]
    assert [item async for item in left] == []


async def test_outputs_that_are_not_taken_pause_the_engine_until_they_are() -> None:
    told: list[bool] = []
    generation = Generation(3, 1, abort=lambda index: None, pause=told.append)
    for _ in range(MAX_PENDING + 10):
        generation.feed(output())
    await asyncio.sleep(0)
    assert told == [True]
    for _ in range(MAX_PENDING + 9):
        await anext(generation)
    assert told == [True]
    await anext(generation)
    assert told == [True, False]


async def test_a_burst_for_somebody_who_waits_pauses_nothing() -> None:
    told: list[bool] = []
    generation = Generation(3, 1, abort=lambda index: None, pause=told.append)

    async def count() -> int:
        return len([item async for item in generation])

    taking = asyncio.create_task(count())
    await asyncio.sleep(0)
    for _ in range(5 * MAX_PENDING):
        generation.feed(output())
    generation.feed(output(0, FinishReason.STOP))
    assert await taking == 5 * MAX_PENDING + 1
    assert told == []
