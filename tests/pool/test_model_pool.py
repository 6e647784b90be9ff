"""Everything here runs in virtual time: the seconds are exact and cost nothing."""

from __future__ import annotations

import asyncio
import math

import pytest

from edge_llama.engine.client.async_engine import EngineState
from edge_llama.errors import EngineStartError, EngineUnavailable, TemplateError
from edge_llama.pool.pooled_model import ModelState
from tests.fakes import FakeEngines
from tests.pool.pooled import Served, hold, holding, pool_of
from tests.virtual_time import in_virtual_time, now


@in_virtual_time
async def test_a_model_is_loaded_when_it_is_asked_for() -> None:
    one, two = Served("one"), Served("two")
    async with pool_of(one, two) as pool:
        assert (one.state(), one.model.info) == (ModelState.AVAILABLE, None)
        task = holding(pool, one, 10)
        await asyncio.sleep(1)
        assert one.state() is ModelState.LOADING
        assert await task == 5
        assert (one.state(), two.state()) == (ModelState.LOADED, ModelState.AVAILABLE)
        assert one.model.info is not None
        assert two.engines.made == []


@in_virtual_time
async def test_all_who_wait_share_one_load() -> None:
    one = Served()
    async with pool_of(one) as pool:
        assert await asyncio.gather(*(hold(pool, one, 3) for _ in range(50))) == [5.0] * 50
        assert len(one.engines.made) == 1


@in_virtual_time
async def test_an_idle_model_is_unloaded_and_its_engine_ends() -> None:
    one = Served()
    async with pool_of(one, keep_alive=60) as pool:
        await hold(pool, one, 100)
        await asyncio.sleep(59.5)
        assert one.state() is ModelState.LOADED
        await hold(pool, one)
        await asyncio.sleep(59.5)
        assert one.state() is ModelState.LOADED
        await asyncio.sleep(1)
        assert (one.state(), one.engines.running) == (ModelState.UNLOADING, 1)
        await asyncio.sleep(1)
        assert (one.state(), one.engines.running) == (ModelState.AVAILABLE, 0)
        assert one.model.info is not None


@in_virtual_time
async def test_it_may_stay_for_ever() -> None:
    one = Served()
    async with pool_of(one, keep_alive=None) as pool:
        await hold(pool, one)
        await asyncio.sleep(1e7)
        assert one.state() is ModelState.LOADED


@in_virtual_time
async def test_it_may_go_at_once() -> None:
    one = Served()
    async with pool_of(one, keep_alive=0) as pool:
        await hold(pool, one)
        await asyncio.sleep(0.5)
        assert one.state() is ModelState.UNLOADING


@in_virtual_time
async def test_who_comes_while_it_is_unloaded_gets_a_new_engine() -> None:
    one = Served()
    async with pool_of(one, keep_alive=10) as pool:
        await hold(pool, one)
        await asyncio.sleep(10.5)
        assert one.state() is ModelState.UNLOADING
        assert await hold(pool, one) == 5 + 10 + 1 + 5
        assert [engine.stopped for engine in one.engines.made] == [1, 0]


@pytest.mark.parametrize("keep_alive", [0, 0.001, 1, 7])
@in_virtual_time
async def test_500_requests_at_the_unload_boundary_lose_none(keep_alive: float) -> None:
    one = Served()
    served = 0

    async def request(number: int) -> None:
        nonlocal served
        # Ever closer to the moment of unloading, from both sides.
        await asyncio.sleep(number * keep_alive + (-1) ** number * 0.5 ** (number % 60))
        await hold(pool, one)
        served += 1

    async with pool_of(one, keep_alive=keep_alive) as pool:
        await hold(pool, one)
        await asyncio.gather(*(request(number) for number in range(1, 501)))
        assert served == 500
        assert len(one.engines.made) > 1


@in_virtual_time
async def test_500_requests_one_after_the_other_as_it_goes_lose_none() -> None:
    one = Served()
    async with pool_of(one, keep_alive=10) as pool:
        for number in range(500):
            # Before, in and after the step in which the timer fires.
            await asyncio.sleep((9.999, 10, 10.001, 11)[number % 4])
            await hold(pool, one)
        assert len(one.engines.made) > 100


@in_virtual_time
async def test_a_failure_is_told_to_all_who_wait_and_tried_again_later() -> None:
    error = EngineStartError("It is broken.")
    one = Served(engines=FakeEngines(loading=5, failures=[error, error, None, error]))
    two = Served("two")
    async with pool_of(one, two, first_backoff=8, max_backoff=12) as pool:

        async def fails(at: float) -> None:
            with pytest.raises(EngineStartError, match="It is broken"):
                await hold(pool, one)
            assert now() == at

        await asyncio.gather(*(fails(5) for _ in range(20)))
        await asyncio.sleep(7)
        assert one.state() is ModelState.FAILED
        await fails(12)  # at once, without another load
        assert await hold(pool, two) == 17
        assert one.state() is ModelState.AVAILABLE
        await fails(22)
        await asyncio.sleep(12.5)
        assert await hold(pool, one) == 39.5
        assert len(one.engines.made) == 3
        assert [engine.stopped for engine in one.engines.made] == [1, 1, 0]
        assert one.model.backoff == 0


@in_virtual_time
async def test_a_model_that_cannot_chat_is_not_kept() -> None:
    one = Served(engines=FakeEngines(failures=[TemplateError("It has no chat template.")]))
    async with pool_of(one) as pool:
        with pytest.raises(TemplateError):
            await hold(pool, one)
        await asyncio.sleep(0)
        assert one.engines.running == 0


@in_virtual_time
async def test_a_bug_in_a_load_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    one = Served(engines=FakeEngines(failures=[ZeroDivisionError("oops")]))
    async with pool_of(one) as pool:
        with pytest.raises(ZeroDivisionError):
            await hold(pool, one)
    assert "oops" in caplog.text


@in_virtual_time
async def test_an_engine_that_gave_up_is_replaced() -> None:
    one = Served()
    async with pool_of(one, keep_alive=None) as pool:
        await hold(pool, one)
        one.engines.made[0].state = EngineState.RESTARTING
        assert one.state() is ModelState.RESTARTING
        one.engines.made[0].state = EngineState.FAILED
        assert one.state() is ModelState.FAILED
        with pytest.raises(EngineUnavailable):
            await hold(pool, one)
        await hold(pool, one)
        assert len(one.engines.made) == 2


@pytest.mark.parametrize("leaves_at", [1, 5, 5.5])
@in_virtual_time
async def test_who_leaves_while_waiting_leaves_nothing_behind(leaves_at: float) -> None:
    one = Served()
    async with pool_of(one) as pool:
        task = holding(pool, one, 1000)
        await asyncio.sleep(leaves_at)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(5)
        pool.check_integrity()
        assert (one.state(), one.model.users) == (ModelState.LOADED, 0)


@in_virtual_time
async def test_a_lease_that_comes_as_its_owner_leaves_is_given_back() -> None:
    one = Served()
    async with pool_of(one) as pool:
        tasks = [holding(pool, one, 1000) for _ in range(3)]
        await asyncio.sleep(5)
        for _ in range(10):
            if one.model.users:
                break
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        assert one.model.users == 3
        await asyncio.gather(*tasks, return_exceptions=True)
        assert one.model.users == 0


@in_virtual_time
async def test_a_model_is_preloaded_without_a_request() -> None:
    one = Served()
    async with pool_of(one, keep_alive=60) as pool:
        pool.preload(one.model)
        pool.preload(one.model)
        assert one.state() is ModelState.LOADING
        await asyncio.sleep(6)
        assert one.state() is ModelState.LOADED
        await asyncio.sleep(62)
        assert one.state() is ModelState.AVAILABLE
        assert len(one.engines.made) == 1


@in_virtual_time
async def test_an_engine_that_cannot_be_stopped_does_not_block_its_model(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = Served()
    async with pool_of(one, keep_alive=10) as pool:
        await hold(pool, one)

        async def stop() -> None:
            one.engines.made[0].stopped = 1
            raise OSError("no such process")

        one.engines.made[0].stop = stop  # type: ignore[method-assign]
        await asyncio.sleep(11)
        await hold(pool, one)
    assert "no such process" in caplog.text


@in_virtual_time
async def test_closing_ends_everything() -> None:
    loading = Served("loading", engines=FakeEngines(loading=math.inf))
    using, queued, unloading = Served("using"), Served("queued", memory=3), Served("unloading")
    async with pool_of(loading, using, queued, unloading, memory=3, keep_alive=1) as pool:
        leaving = asyncio.Event()

        async def use() -> None:
            async with pool.use(using.model):
                await leaving.wait()

        user = asyncio.create_task(use())
        await hold(pool, unloading)
        tasks = [holding(pool, loading), holding(pool, queued)]
        await asyncio.sleep(1.5)
        states = [served.state() for served in (loading, using, queued, unloading)]
        assert states == [
            ModelState.LOADING,
            ModelState.LOADED,
            ModelState.WAITING,
            ModelState.UNLOADING,
        ]
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0.5)
        leaving.set()
        await closing
        await user
        assert using.model.timer is None
        for task in tasks:
            with pytest.raises(EngineUnavailable, match="being stopped"):
                await task
        with pytest.raises(EngineUnavailable, match="being stopped"):
            await hold(pool, using)
        await asyncio.sleep(1000)
        assert [len(served.engines.made) for served in (loading, using, queued)] == [1, 1, 0]
