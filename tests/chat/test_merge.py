from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.chat.merge import WAITING_EVENTS, merge
from tests.effort import PATIENCE


async def stream(items: Sequence[int]) -> AsyncIterator[int]:
    for item in items:
        await asyncio.sleep(0)
        yield item


@given(st.lists(st.lists(st.integers(), max_size=2 * WAITING_EVENTS), max_size=4))
def test_every_event_comes_once_in_the_order_of_its_stream(lists: list[list[int]]) -> None:
    async def run() -> list[list[int]]:
        found: list[list[int]] = [[] for _ in lists]
        async for number, item in merge([stream(items) for items in lists]):
            found[number].append(item)
        return found

    assert asyncio.run(run()) == lists


async def test_a_failure_is_raised_and_ends_the_others() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                yield 1
        finally:
            closed.set()

    async def failing() -> AsyncIterator[int]:
        yield 2
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async for _ in merge([endless(), failing()]):
            pass
    await asyncio.wait_for(closed.wait(), PATIENCE)
