"""ModelPool: models that are loaded when they are asked for and unloaded when they are idle."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from edge_llama.chat.model import ChatModel
from edge_llama.errors import DoesNotFit, EdgeLlamaError, EngineKilled, EngineUnavailable
from edge_llama.pool.pooled_model import ModelState, PooledModel
from edge_llama.settings.pool import PoolSettings

RETRY_AFTER = 10.0
"""Seconds after which a request that found no room may find some."""

logger = logging.getLogger(__name__)


class ModelPool:
    """Gives out leases of models.

    ```
    async with pool.use(model) as chat:
        async with await chat.start(request) as completion:
            ...
    ```

    A lease waits until its model is loaded, and while it lasts the model stays loaded. What has
    no lease is idle: it is unloaded after `keep_alive` seconds, or when its memory is wanted,
    the least recently used first.

    Models that have to wait for memory are loaded in the order in which they were asked for.
    When the idle ones do not make enough room for the first of them, those in use, longest
    loaded first, give no new leases once they have had their `turn`: the leases they have given
    run to their end, and requests for them wait. No request waits longer than `patience` for
    room.

    Everything happens in one event loop, and every change ends in `_advance`, which brings all
    models to where they should be. A lease is given in the same step that finds its model
    loaded, so no model is unloaded between the two.

    Args:
        models: what can be loaded.
        settings: when to unload.

    Raises:
        DoesNotFit: one of the models needs more than there is for all of them.
    """

    def __init__(self, models: Iterable[PooledModel], settings: PoolSettings | None = None) -> None:
        self._models = tuple(models)
        self._settings = settings or PoolSettings()
        self._queue: deque[PooledModel] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn_timer: asyncio.TimerHandle | None = None
        self._closed = False
        for model in self._models:
            if self._lacking(model):
                raise DoesNotFit(
                    f"{model.name} needs {model.memory / 1e9:.2f} GB of memory, which is more than "
                    "may be used. Take a smaller model, or allow more memory."
                )

    @asynccontextmanager
    async def use(self, model: PooledModel) -> AsyncIterator[ChatModel]:
        """A lease of `model`, which is loaded first if need be.

        Raises:
            EngineStartError: the model could not be loaded, now or a short time ago.
            TemplateError: it has no chat template that can be used.
            EngineUnavailable: models in use left no room for it, or the pool was closed.
        """
        chat = await self._lease(model)
        try:
            yield chat
        finally:
            model.users -= 1
            model.used_at = _now()
            self._advance()

    def preload(self, model: PooledModel) -> None:
        """Load `model` without waiting, if it is not loaded."""
        if model.phase is ModelState.AVAILABLE and not self._closed:
            self._enqueue(model)
            self._advance()

    async def close(self) -> None:
        """Unload everything, at once. Whoever waits or comes later gets EngineUnavailable."""
        self._closed = True
        for model in self._models:
            model.stop_timer()
            self._answer(model, _closed())
        if self._turn_timer is not None:
            self._turn_timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(model.unload() for model in self._models))
        self._queue.clear()
        for model in self._models:
            model.phase = ModelState.AVAILABLE

    async def _lease(self, model: PooledModel) -> ChatModel:
        if self._closed:
            raise _closed()
        if model.failure is not None:
            # Raised again and again, an exception would collect tracebacks.
            raise model.failure.with_traceback(None)
        if model.phase is ModelState.LOADED and not model.held:
            return self._grant(model)
        loop = asyncio.get_running_loop()
        ticket: asyncio.Future[ChatModel] = loop.create_future()
        model.tickets[ticket] = None
        self.preload(model)
        timer = loop.call_later(self._settings.patience, self._refuse, model, ticket)
        try:
            return await ticket
        except asyncio.CancelledError:
            self._withdraw(model, ticket)
            raise
        finally:
            timer.cancel()

    def _grant(self, model: PooledModel) -> ChatModel:
        assert model.chat is not None
        model.stop_timer()
        model.users += 1
        return model.chat

    def _refuse(self, model: PooledModel, ticket: asyncio.Future[ChatModel]) -> None:
        """There was no room in time. Who waits for a model that is being loaded has room."""
        if model.phase is not ModelState.LOADING and not ticket.done():
            ticket.set_exception(
                EngineUnavailable(
                    "Other models are in use and leave no memory for this one. Try again later.",
                    retry_after=RETRY_AFTER,
                )
            )
            self._drop(model, ticket)

    def _withdraw(self, model: PooledModel, ticket: asyncio.Future[ChatModel]) -> None:
        """Whoever waited went away, perhaps between being answered and hearing of it."""
        if ticket.cancelled():
            self._drop(model, ticket)
        elif ticket.exception() is None:
            model.users -= 1
            self._advance()

    def _drop(self, model: PooledModel, ticket: asyncio.Future[ChatModel]) -> None:
        model.tickets.pop(ticket, None)
        if model.phase is ModelState.WAITING and not model.tickets:
            self._queue.remove(model)
            model.phase = ModelState.AVAILABLE
        self._advance()

    def _answer(self, model: PooledModel, error: Exception | None = None) -> None:
        """Give leases, or `error`, to all who wait."""
        for ticket in model.tickets:
            if ticket.done():
                continue
            if error is None:
                ticket.set_result(self._grant(model))
            else:
                ticket.set_exception(error)
        model.tickets.clear()

    def _enqueue(self, model: PooledModel) -> None:
        model.phase = ModelState.WAITING
        model.queued_at = _now()
        self._queue.append(model)

    def _advance(self) -> None:
        """Load what there is room for, hold back what is to leave, answer who need not wait."""
        if self._closed:
            return
        leaving = self._load_queued()
        for model in self._models:
            if model.phase is ModelState.LOADED:
                model.held = model in leaving
                if not model.held:
                    self._answer(model)
                if not model.users:
                    self._idle(model)

    def _load_queued(self) -> Collection[PooledModel]:
        """Load in turn. Returns the models that are to leave for the first that lacks room."""
        while self._queue:
            if lacking := self._lacking(self._queue[0]):
                return self._leaving(self._queue[0], lacking)
            model = self._queue.popleft()
            model.phase = ModelState.LOADING
            self._spawn(self._load(model))
        return ()

    def _lacking(self, wanted: PooledModel) -> int:
        """Bytes that are missing for `wanted`."""
        if self._settings.memory is None:
            return 0
        occupied = sum(model.occupied for model in self._models)
        return max(0, occupied + wanted.memory - self._settings.memory)

    def _leaving(self, wanted: PooledModel, lacking: int) -> Collection[PooledModel]:
        """Models whose memory is enough for `wanted`; none if it cannot be had yet."""
        loaded = [m for m in self._models if m.phase is ModelState.LOADED and m.memory]
        idle = sorted((m for m in loaded if not m.users), key=lambda m: m.used_at)
        busy = sorted((m for m in loaded if m.users), key=lambda m: m.loaded_at)
        lacking -= sum(m.occupied for m in self._models if m.phase is ModelState.UNLOADING)
        leaving = []
        for model in [*idle, *busy]:
            if lacking <= 0:
                break
            turn_ends = max(model.loaded_at, wanted.queued_at) + self._settings.turn
            if model.users and turn_ends > _now():
                self._advance_at(turn_ends)
                return ()
            leaving.append(model)
            lacking -= model.memory
        return leaving if lacking <= 0 else ()

    def _advance_at(self, when: float) -> None:
        if self._turn_timer is not None:
            self._turn_timer.cancel()
        self._turn_timer = asyncio.get_running_loop().call_at(when, self._advance)

    def _idle(self, model: PooledModel) -> None:
        keep_alive = self._settings.keep_alive
        if model.held or model.broken:
            self._unload(model)
        elif model.timer is None and keep_alive is not None:
            loop = asyncio.get_running_loop()
            model.timer = loop.call_later(keep_alive, self._unload, model)

    async def _load(self, model: PooledModel) -> None:
        try:
            await model.load()
        except Exception as error:
            if not isinstance(error, EdgeLlamaError):
                logger.exception("%s could not be loaded because of a bug.", model.name)
            await self._fail(model, error)
        else:
            model.backoff = 0.0
            model.loaded_at = model.used_at = _now()
            model.phase = ModelState.LOADED
            self._answer(model)
        self._advance()

    async def _fail(self, model: PooledModel, error: Exception) -> None:
        settings = self._settings
        model.backoff = min(max(settings.first_backoff, 2 * model.backoff), settings.max_backoff)
        if isinstance(error, EngineKilled):
            error.retry_after = model.backoff
        model.failure = error
        model.phase = ModelState.UNLOADING
        self._answer(model, error)
        await model.unload()
        model.phase = ModelState.FAILED
        loop = asyncio.get_running_loop()
        model.timer = loop.call_later(model.backoff, self._allow_retry, model)

    def _allow_retry(self, model: PooledModel) -> None:
        model.stop_timer()
        model.failure = None
        model.phase = ModelState.AVAILABLE

    def _unload(self, model: PooledModel) -> None:
        model.stop_timer()
        model.held = False
        model.phase = ModelState.UNLOADING
        self._spawn(self._finish_unloading(model))

    async def _finish_unloading(self, model: PooledModel) -> None:
        await model.unload()
        model.phase = ModelState.AVAILABLE
        if model.tickets:
            self._enqueue(model)
        self._advance()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def check_integrity(self) -> None:
        """See that the books agree.

        Raises:
            AssertionError: they do not.
        """
        waiting = [model for model in self._models if model.phase is ModelState.WAITING]
        assert sorted(self._queue, key=self._models.index) == waiting
        assert not self._queue or self._lacking(self._queue[0])
        if self._settings.memory is not None:
            assert sum(model.occupied for model in self._models) <= self._settings.memory
        for model in self._models:
            model.check_integrity()
            idle = model.phase is ModelState.LOADED and not model.users
            timed = model.phase is ModelState.FAILED or (
                idle and self._settings.keep_alive is not None
            )
            assert (model.timer is not None) == timed


def _closed() -> EngineUnavailable:
    return EngineUnavailable("The models are being stopped.")


def _now() -> float:
    return asyncio.get_running_loop().time()
