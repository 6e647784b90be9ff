"""Everything here runs in virtual time: the seconds are exact and cost nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.chat.model_pool import ModelPool
from edge_llama.chat.pooled_model import ModelState, PooledModel
from edge_llama.config import PoolSettings
from edge_llama.engine.client import EngineState
from edge_llama.errors import DoesNotFit, EngineStartError, EngineUnavailable, TemplateError
from tests.fakes import FakeEngines
from tests.virtual_time import in_virtual_time, now

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
