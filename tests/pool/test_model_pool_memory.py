"""Models that share too little memory, in virtual time: the seconds are exact."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_llama.errors import DoesNotFit, EngineStartError, EngineUnavailable
from edge_llama.pool.model_pool import ModelPool
from edge_llama.pool.pooled_model import ModelState
from edge_llama.settings.pool import PoolSettings
from tests.fakes import FakeEngines
from tests.pool.pooled import Served, hold, holding, pool_of
from tests.virtual_time import in_virtual_time, now


@in_virtual_time
async def test_the_least_recently_used_idle_model_makes_room() -> None:
    one, two, three = (Served(name) for name in ("one", "two", "three"))
    async with pool_of(one, two, three, memory=2) as pool:
        await hold(pool, one)
        await hold(pool, two)
        await asyncio.sleep(1)
        await hold(pool, one)
        loading = holding(pool, three)
        await asyncio.sleep(0.5)
        await hold(pool, one)  # while the other is still leaving
        assert await loading == 11 + 1 + 5
        assert (one.state(), two.state()) == (ModelState.LOADED, ModelState.AVAILABLE)


@in_virtual_time
async def test_what_fits_beside_it_stays() -> None:
    one, two, three = Served("one"), Served("two", memory=0), Served("three", memory=3)
    async with pool_of(one, two, three, memory=4) as pool:
        await asyncio.gather(*(hold(pool, served) for served in (one, two, three)))
        assert {served.state() for served in (one, two, three)} == {ModelState.LOADED}


@in_virtual_time
async def test_several_make_room_for_a_large_one() -> None:
    one, two, large = Served("one"), Served("two"), Served("large", memory=2)
    async with pool_of(one, two, large, memory=2) as pool:
        await asyncio.gather(hold(pool, one), hold(pool, two))
        assert await hold(pool, large) == 5 + 1 + 5


@in_virtual_time
async def test_nothing_is_unloaded_for_room_that_cannot_be_had_yet() -> None:
    one, two, large = Served("one"), Served("two"), Served("large", memory=2)
    async with pool_of(one, two, large, memory=2) as pool:
        await hold(pool, one)
        using = holding(pool, two, 10)
        waiting = holding(pool, large)
        await asyncio.sleep(4)
        assert (one.state(), two.state()) == (ModelState.LOADED, ModelState.LOADING)
        await asyncio.sleep(4)
        assert (one.state(), two.state()) == (ModelState.LOADED, ModelState.LOADED)
        await using
        assert await waiting == 20 + 1 + 5


@in_virtual_time
async def test_a_model_in_use_is_waited_for() -> None:
    one, two = Served("one"), Served("two")
    async with pool_of(one, two, memory=1) as pool:
        using = holding(pool, one, 20)
        await asyncio.sleep(6)
        task = holding(pool, two)
        await asyncio.sleep(1)
        assert (one.state(), two.state()) == (ModelState.LOADED, ModelState.WAITING)
        assert await task == 25 + 1 + 5
        assert await using == 5


@in_virtual_time
async def test_a_request_does_not_wait_for_room_for_ever() -> None:
    one, two = Served("one"), Served("two")
    async with pool_of(one, two, memory=1, patience=100) as pool:
        using = holding(pool, one, math.pi * 100)
        await asyncio.sleep(6)
        with pytest.raises(EngineUnavailable, match="leave no memory") as caught:
            await hold(pool, two)
        assert now() == 106
        assert caught.value.retry_after == 10
        assert two.state() is ModelState.AVAILABLE
        await using


@in_virtual_time
async def test_a_slow_load_is_not_a_lack_of_room() -> None:
    one = Served(engines=FakeEngines(loading=1000))
    async with pool_of(one, patience=100) as pool:
        assert await hold(pool, one) == 1000


@in_virtual_time
async def test_a_busy_model_gives_way_after_its_turn() -> None:
    one, two = Served("one"), Served("two")
    async with pool_of(one, two, memory=1, turn=30, patience=1000) as pool:
        given: list[float] = []

        async def client() -> None:
            while True:
                given.append(await hold(pool, one, 4))

        clients = []
        for _ in range(2):
            clients.append(asyncio.create_task(client()))
            await asyncio.sleep(7)
        # At 14 one request overlaps the next: the model is never idle.
        using = holding(pool, two, 50)
        await asyncio.sleep(80 - 14)
        assert 44 - 4 <= max(given) < 44
        assert two.model.loaded_at == max(given) + 4 + 1 + 5 == 53
        # Now it is the other way round, and the turn began when the second was loaded.
        assert await hold(pool, two, 1) == 80
        await asyncio.sleep(3)
        late = holding(pool, two)
        await using
        await asyncio.sleep(11)
        assert min(time for time in given if time > 53) == 103 + 1 + 5
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await late


@in_virtual_time
async def test_the_longest_loaded_model_gives_way_first() -> None:
    one, two, three = Served("one"), Served("two"), Served("three")
    async with pool_of(one, two, three, memory=2, turn=10) as pool:
        second = holding(pool, two, 50)
        await asyncio.sleep(1)
        first = holding(pool, one, 50)
        await asyncio.sleep(20)
        waiting = holding(pool, three)
        await asyncio.sleep(11)
        assert (one.model.held, two.model.held) == (False, True)
        await asyncio.gather(first, second, waiting)


@in_virtual_time
async def test_who_is_held_back_goes_on_when_nobody_waits_for_the_room() -> None:
    one, two = Served("one"), Served("two")
    async with pool_of(one, two, memory=1, turn=30) as pool:
        using = holding(pool, one, 500)
        await asyncio.sleep(10)
        waiting = holding(pool, two)
        await asyncio.sleep(31)
        held = holding(pool, one)
        await asyncio.sleep(9)
        assert not held.done()
        assert one.model.held
        waiting.cancel()
        assert await held == 50
        await using


@in_virtual_time
async def test_models_are_loaded_in_the_order_of_asking() -> None:
    one, large, small = Served("one"), Served("large", memory=2), Served("small")
    async with pool_of(one, large, small, memory=2) as pool:
        using = holding(pool, one, 15)
        await asyncio.sleep(6)
        first = holding(pool, large)
        await asyncio.sleep(1)
        second = holding(pool, small)
        await using
        assert await first == 20 + 1 + 5
        assert await second == 26 + 1 + 5


@in_virtual_time
async def test_who_leaves_while_waiting_for_room_is_forgotten() -> None:
    one, two = Served("one"), Served("two")
    async with pool_of(one, two, memory=1) as pool:
        using = holding(pool, one, 20)
        await asyncio.sleep(6)
        task = holding(pool, two)
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(0)
        assert two.state() is ModelState.AVAILABLE
        await using
        await asyncio.sleep(11)
        assert (one.state(), two.engines.made) == (ModelState.LOADED, [])


def test_a_model_that_never_fits_is_refused() -> None:
    with pytest.raises(DoesNotFit, match=r"large needs 9\.00 GB"):
        ModelPool([Served("large", memory=9 * 10**9).model], PoolSettings(memory=8 * 10**9))


REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 2),  # model
        st.sampled_from([0, 0, 0.5, 1, 2, 3, 5, 9, 10, 11, 12]),  # pause before it
        st.sampled_from([0, 1, 7, 40]),  # duration
        st.sampled_from([None, None, None, 0, 1, 4, 5, 6, 20]),  # the client leaves after
    ),
    min_size=1,
    max_size=40,
)


@given(
    requests=REQUESTS,
    memory=st.sampled_from([None, 3, 4, 6]),
    keep_alive=st.sampled_from([None, 0, 4, 10]),
    failing=st.booleans(),
)
@settings(max_examples=200, deadline=None)
@in_virtual_time
async def test_every_request_is_answered_and_memory_is_never_exceeded(
    requests: list[tuple[int, float, float, float | None]],
    memory: int | None,
    keep_alive: float | None,
    failing: bool,
) -> None:
    failures = [None, EngineStartError("no")] if failing else []
    models = [
        Served(
            str(size), memory=size, engines=FakeEngines(loading=4, stopping=1, failures=failures)
        )
        for size in (1, 2, 3)
    ]
    async with pool_of(*models, memory=memory, keep_alive=keep_alive, turn=20) as pool:
        tasks = []
        for index, pause, duration, leaves_after in requests:
            await asyncio.sleep(pause)
            task = holding(pool, models[index], duration)
            tasks.append(task)
            if leaves_after is not None:
                asyncio.get_running_loop().call_later(leaves_after, task.cancel)
            pool.check_integrity()
            live = sum(served.model.memory * served.engines.running for served in models)
            assert memory is None or live <= memory
        started = now()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for (_, _, _, leaves_after), result in zip(requests, results, strict=True):
            match result:
                case float():
                    pass
                case asyncio.CancelledError():
                    assert leaves_after is not None
                case EngineStartError():
                    assert failing
                case EngineUnavailable():
                    assert memory is not None
                case _:
                    raise AssertionError(result)
        assert now() - started < 2000
        pool.check_integrity()
        assert not any(served.model.users or served.model.tickets for served in models)
        if keep_alive is not None:
            await asyncio.sleep(keep_alive + 100)
            assert not any(served.engines.running for served in models)
