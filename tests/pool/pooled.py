"""Models in a pool, with engines that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.pool.model_pool import ModelPool
from edge_llama.pool.pooled_model import ModelState, PooledModel
from edge_llama.settings.pool import PoolSettings
from tests.fakes import FakeEngines
from tests.virtual_time import now

HI = ChatRequest(messages=(Message(Role.USER, "Hi"),))


class Served:
    """A pooled model and the engines that are made for it."""

    def __init__(self, name: str = "one", *, memory: int = 1, engines: FakeEngines | None = None):
        self.engines = engines or FakeEngines(loading=5, stopping=1)
        self.model = PooledModel(name, self.engines, memory=memory)

    def state(self) -> ModelState:
        return self.model.state


@asynccontextmanager
async def pool_of(
    *served: Served, memory: int | None = None, keep_alive: float | None = 600, **options: float
) -> AsyncIterator[ModelPool]:
    """A pool that is closed at the end with nothing left running."""
    pool = ModelPool(
        [one.model for one in served],
        PoolSettings(memory=memory, keep_alive=keep_alive, **options),
    )
    yield pool
    pool.check_integrity()
    await pool.close()
    assert [one.engines.running for one in served] == [0] * len(served)


async def hold(pool: ModelPool, served: Served, seconds: float = 0.0) -> float:
    """Use a model for some seconds; the time at which the lease was given."""
    async with pool.use(served.model) as chat:
        given = now()
        pool.check_integrity()
        async with await chat.start(HI) as completion:
            assert [event async for event in completion]
        await asyncio.sleep(seconds)
        pool.check_integrity()
    pool.check_integrity()
    return given


def holding(pool: ModelPool, served: Served, seconds: float = 0.0) -> asyncio.Task[float]:
    return asyncio.create_task(hold(pool, served, seconds))
