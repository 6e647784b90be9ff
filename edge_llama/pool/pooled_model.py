"""PooledModel: one model of a `ModelPool`, loaded or not."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable
from contextlib import suppress

from edge_llama.chat.engine import Engine
from edge_llama.chat.model import ChatModel
from edge_llama.engine.client.async_engine import EngineState
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.stats import EngineStats
from edge_llama.errors import EngineDied, EngineUnavailable
from edge_llama.settings.prompts import DEFAULT_PROMPTS, PromptSettings

logger = logging.getLogger(__name__)

STATS_SECONDS = 1.0
"""How long an engine may take to say what it has done; one that is stopped never does."""


class ModelState(str, enum.Enum):
    """
    ```
                 a request             room for it           its engine is ready
    AVAILABLE ──────────────→ WAITING ─────────────→ LOADING ───────────────────→ LOADED
      ↑  ↑  ↑                    │                      │ cannot be loaded          │ idle
      │  │  └─ nobody waits now ─┘                      ↓                           │
      │  └────────────────────────────────────────── UNLOADING ←────────────────────┘
      │ back-off is over                                │ could not be loaded
      └─────────────────────────────────────────────  FAILED
    ```
    RESTARTING is a loaded model whose engine died and is being started again.
    """

    AVAILABLE = "available"
    WAITING = "waiting"
    LOADING = "loading"
    LOADED = "loaded"
    RESTARTING = "restarting"
    UNLOADING = "unloading"
    FAILED = "failed"


_IN_MEMORY = frozenset({ModelState.LOADING, ModelState.LOADED, ModelState.UNLOADING})


class PooledModel:
    """A model that can be loaded any number of times. Its pool decides when.

    Args:
        name: what it is called in the log.
        make_engine: gives a new engine for each load.
        memory: bytes that it needs while it is loaded.
        prompts: how conversations are written for it.

    Attributes:
        info: what was known when it was last loaded, None before the first time.
        phase: its state as far as the pool is concerned: never RESTARTING.
        chat: from LOADING to UNLOADING.
        users: leases that were given and not yet given back.
        tickets: those who wait for a lease, first come, first served.
        held: LOADED, but gives no leases, so that it becomes idle and makes room for another.
        failure: why it cannot be loaded, until it may be tried again.
        backoff: seconds from its last failure to that time; 0 when it was loaded since.
        queued_at, loaded_at, used_at: when it last began to wait for room, was loaded, and had a
            lease given back; event loop's time, seconds.
        timer: unloads an idle model, or lets a failed one be tried again.
    """

    def __init__(
        self,
        name: str,
        make_engine: Callable[[], Engine],
        *,
        memory: int = 0,
        prompts: PromptSettings = DEFAULT_PROMPTS,
    ) -> None:
        self.name = name
        self.memory = memory
        self.info: ModelInfo | None = None
        self.phase = ModelState.AVAILABLE
        self.chat: ChatModel | None = None
        self.users = 0
        self.tickets: dict[asyncio.Future[ChatModel], None] = {}
        self.held = False
        self.failure: Exception | None = None
        self.backoff = 0.0
        self.queued_at = self.loaded_at = self.used_at = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self._make_engine = make_engine
        self._prompts = prompts

    @property
    def state(self) -> ModelState:
        """What there is to tell about it."""
        if self.failure is not None or self.broken:
            return ModelState.FAILED
        if self.phase is ModelState.LOADED and self._engine_state is EngineState.RESTARTING:
            return ModelState.RESTARTING
        return self.phase

    @property
    def broken(self) -> bool:
        """It was loaded, but its engine gave up."""
        return self.phase is ModelState.LOADED and self._engine_state is EngineState.FAILED

    @property
    def occupied(self) -> int:
        """Bytes that are in use by it, or are about to be."""
        return self.memory if self.phase in _IN_MEMORY else 0

    async def load(self) -> None:
        """Start an engine and wait until requests can be sent to it.

        Raises:
            EngineStartError: the engine could not load the model.
        """
        engine = self._make_engine()
        self.chat = ChatModel(engine, self._prompts)
        engine.launch()
        self.info = await self.chat.loaded()

    async def unload(self) -> None:
        """End the engine, if there is one; its memory is free again."""
        try:
            if self.chat is not None:
                await self.chat.engine.stop()
        except Exception:
            logger.exception("The engine of %s could not be stopped properly.", self.name)
        self.chat = None

    async def stats(self) -> EngineStats | None:
        """What its engine has done since it was loaded; None if it is not running or does not
        answer within `STATS_SECONDS`."""
        if self.chat is None:
            return None
        with suppress(EngineUnavailable, EngineDied, asyncio.TimeoutError):
            return await asyncio.wait_for(self.chat.engine.stats(), STATS_SECONDS)
        return None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def check_integrity(self) -> None:
        """See that it is in one state only.

        Raises:
            AssertionError: it is not.
        """
        assert (self.chat is not None) <= (self.phase in _IN_MEMORY)
        assert (self.users > 0) <= (self.phase is ModelState.LOADED)
        assert self.held <= (self.users > 0)
        assert (self.failure is not None) >= (self.phase is ModelState.FAILED)
        if self.phase in (ModelState.AVAILABLE, ModelState.FAILED) or (
            self.phase is ModelState.LOADED and not self.held
        ):
            assert not self.tickets

    @property
    def _engine_state(self) -> EngineState | None:
        return None if self.chat is None else self.chat.engine.state
