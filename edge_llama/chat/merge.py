"""Several streams of events as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

T = TypeVar("T")

WAITING_EVENTS = 64
"""Events that may wait for a slow reader before the streams are read no further."""


async def merge(streams: Sequence[AsyncIterator[T]]) -> AsyncIterator[tuple[int, T]]:
    """The events of all streams as they come, each with the number of its stream.

    Raises:
        Exception: of the first stream that fails; the others are read no further.
    """
    queue: asyncio.Queue[tuple[int, T] | Exception | None] = asyncio.Queue(WAITING_EVENTS)

    async def read(number: int, stream: AsyncIterator[T]) -> None:
        try:
            async for event in stream:
                await queue.put((number, event))
        except Exception as error:
            await queue.put(error)
        else:
            await queue.put(None)

    readers = [asyncio.create_task(read(*numbered)) for numbered in enumerate(streams)]
    running = len(readers)
    try:
        while running:
            item = await queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield item
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
