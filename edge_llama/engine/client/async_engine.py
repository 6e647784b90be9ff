"""AsyncEngine: starts, watches and talks to the engine process."""

from __future__ import annotations

import asyncio
import enum
import itertools
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias

from edge_llama.engine.client.backoff import Backoff
from edge_llama.engine.client.generation import Generation
from edge_llama.engine.client.process import CRASHES, EngineProcess, describe_exit, was_killed
from edge_llama.engine.client.suspects import Suspects
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.prompt import Prompt
from edge_llama.engine.protocol.request import GenerationRequest
from edge_llama.engine.protocol.stats import EngineStats
from edge_llama.engine.protocol.wire import (
    Abort,
    Accepted,
    Event,
    GetStats,
    LoadFailed,
    Pause,
    Ready,
    Refused,
    Stats,
    StepOutputs,
    Submit,
    Tokenize,
    Tokenized,
    check_command,
)
from edge_llama.errors import (
    EngineDied,
    EngineError,
    EngineKilled,
    EngineStartError,
    EngineUnavailable,
    RequestCrashesEngine,
    SettingsError,
)
from edge_llama.settings.engine import EngineSettings

logger = logging.getLogger("edge_llama.engine")

EngineAnswer: TypeAlias = Accepted | Tokenized | Stats


class EngineState(str, enum.Enum):
    """
    ```
    STARTING → READY → RESTARTING → READY → …      any → STOPPED
        └→ FAILED (the first load failed)
    ```
    """

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class AsyncEngine:
    """One model in a supervised child process.

    ```
    async with AsyncEngine(EngineSettings(model="model.gguf")) as engine:
        async with await engine.submit(GenerationRequest(prompt=(Text("Hello"),))) as generation:
            async for output in generation:
                print(output.pieces)
    ```

    When the child dies, running requests raise `EngineDied` and it is started again with growing
    pauses. A request that ran when it died, twice, is not run again. Belongs to the event loop in
    which it was started.

    Args:
        settings: what to load and how to run it.
    """

    def __init__(self, settings: EngineSettings) -> None:
        if not isinstance(settings, EngineSettings):
            raise SettingsError(
                f'AsyncEngine takes EngineSettings, such as plan("demo").settings, not '
                f"{settings!r:.100}."
            )
        self.settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state = EngineState.STARTING
        self._state_changed = asyncio.Event()
        self._info: ModelInfo | None = None
        self._failure = ""
        self._killed = False
        self._retry_at = 0.0
        self._process: EngineProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)
        self._asking: dict[int, asyncio.Future[EngineAnswer]] = {}
        self._running: dict[int, _Running] = {}
        self._backoff = Backoff()
        self._suspects = Suspects()

    @property
    def state(self) -> EngineState:
        return self._state

    @property
    def info(self) -> ModelInfo:
        """What is known of the model.

        Raises:
            EngineUnavailable: it was not loaded yet.
        """
        if self._info is None:
            raise EngineUnavailable("The model is still loading.")
        return self._info

    @property
    def pid(self) -> int | None:
        """The child's process id, if there is a child."""
        if self._process is None or not self._process.alive:
            return None
        return self._process.pid

    def launch(self) -> None:
        """Start the child without waiting for the model to load.

        Raises:
            EngineError: no event loop runs here, or another one than before.
        """
        self._belong_here()
        if self._supervisor is None and self._state is not EngineState.STOPPED:
            self._supervisor = asyncio.create_task(self._supervise())
            self._supervisor.add_done_callback(self._supervisor_ended)

    async def ready(self) -> ModelInfo:
        """Wait until the model is loaded for the first time.

        Raises:
            EngineStartError: it cannot be loaded.
            EngineUnavailable: the engine is restarting, or was stopped, or was never started.
            EngineError: it belongs to another event loop.
        """
        self._see_loop()
        if self._state is EngineState.STARTING and self._supervisor is None:
            raise EngineUnavailable(
                "The engine was not started. Use `async with AsyncEngine(...)`, or await start()."
            )
        while self._state is EngineState.STARTING:
            await self._state_changed.wait()
        if self._state is not EngineState.READY:
            self._raise_unavailable()
        return self.info

    async def recovered(self) -> ModelInfo:
        """As `ready`, but waits for an engine that is restarting too, which can take minutes.

        Raises:
            EngineStartError: the model cannot be loaded.
            EngineUnavailable: the engine was stopped.
        """
        self._see_loop()
        while self._state is EngineState.RESTARTING:
            await self._state_changed.wait()
        return await self.ready()

    async def start(self) -> ModelInfo:
        """Start the child and wait until the model is loaded. Raises as `ready` does."""
        self.launch()
        return await self.ready()

    async def stop(self) -> None:
        """End the child; running requests raise `EngineDied`. Once it is stopped, nothing happens.

        Raises:
            EngineError: it belongs to another event loop.
        """
        if self._state is EngineState.STOPPED and self.pid is None:
            return
        self._see_loop()
        self._set_state(EngineState.STOPPED)
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        if self._process is not None:
            await self._process.stop()
        self._fail_all("The engine was stopped.")

    async def __aenter__(self) -> AsyncEngine:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def submit(self, request: GenerationRequest) -> Generation:
        """Queue a request. Waits while the model loads for the first time.

        Returns:
            Its outputs, once the engine has accepted it.

        Raises:
            RequestError: the engine refused it, or crashed each time it ran.
            EngineUnavailable: the engine is not running.
            EngineDied: the engine ended before it answered.
        """
        command = Submit(next(self._ids), request)
        check_command(command)
        if self._suspects.is_guilty(request):
            raise RequestCrashesEngine(
                "The model's engine crashed twice while this request ran, so it is not run again."
            )
        process = await self._ready_process()
        id = command.id
        generation = Generation(
            0,
            request.options.n,
            abort=lambda index: process.send(Abort(id, index)),
            pause=lambda paused: process.send(Pause(id, paused)),
        )
        self._running[id] = _Running(request, generation)
        try:
            accepted = await self._ask(process, command)
        except asyncio.CancelledError:
            generation.abort()
            raise
        assert isinstance(accepted, Accepted)
        generation.prompt_tokens = accepted.prompt_tokens
        if self.settings.request_timeout is not None:
            generation.limit_time(self.settings.request_timeout)
        return generation

    async def tokenize(self, prompt: Prompt) -> Tokenized:
        """The tokens of a prompt. Waits while the model loads for the first time.

        Raises:
            InvalidValue: the vocabulary has no such control token, or no token of such an id.
            EngineUnavailable: the engine is not running.
            EngineDied: the engine ended before it answered.
        """
        command = Tokenize(next(self._ids), prompt)
        check_command(command)
        process = await self._ready_process()
        try:
            tokenized = await self._ask(process, command)
        except asyncio.CancelledError:
            process.send(Abort(command.id, None))
            raise
        assert isinstance(tokenized, Tokenized)
        return tokenized

    def _belong_here(self) -> None:
        """Belong to the event loop that runs here, if to none yet."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise EngineError(
                "An engine is started where an event loop runs: in an async function."
            ) from None
        if self._loop is None:
            self._loop = loop
        self._see_loop()

    def _see_loop(self) -> None:
        """See that the engine is used in its own event loop: in another one nothing would ever
        come."""
        if self._loop is not None and asyncio.get_running_loop() is not self._loop:
            raise EngineError(
                "The engine belongs to the event loop in which it was started, and another one "
                "runs here. Use one asyncio.run() for all of the program, or hand work over with "
                "asyncio.run_coroutine_threadsafe()."
            )

    async def _ready_process(self) -> EngineProcess:
        await self.ready()
        assert self._process is not None
        return self._process

    async def _ask(
        self, process: EngineProcess, command: Submit | Tokenize | GetStats
    ) -> EngineAnswer:
        """Send a command and wait for its answer."""
        answer: asyncio.Future[EngineAnswer] = asyncio.get_running_loop().create_future()
        self._asking[command.id] = answer
        process.send(command)
        try:
            return await answer
        finally:
            del self._asking[command.id]

    async def stats(self) -> EngineStats:
        """What was done since the child was started.

        Raises:
            EngineUnavailable: it is not running.
            EngineDied: it ended before it answered.
        """
        self._see_loop()
        if self._state is not EngineState.READY or self._process is None:
            self._raise_unavailable()
        answer = await self._ask(self._process, GetStats(next(self._ids)))
        assert isinstance(answer, Stats)
        return answer.stats

    async def _supervise(self) -> None:
        while True:
            started = time.monotonic()
            self._failure = ""
            reason = await self._run_process()
            if self._state is EngineState.STARTING:
                self._failure = reason
                self._set_state(EngineState.FAILED)
                return
            pause = self._backoff.crashed(time.monotonic() - started)
            logger.error("%s It is started again in %.1f s.", reason, pause)
            self._retry_at = time.monotonic() + pause
            self._suspects.blame(self._computed())
            self._set_state(EngineState.RESTARTING)
            self._fail_all("The engine process ended while the request was running.")
            await asyncio.sleep(pause)

    async def _run_process(self) -> str:
        """One run of the child, from start to end; why it ended."""
        try:
            self._process = await EngineProcess.spawn(self.settings, self._on_event)
        except OSError as error:
            return f"The engine process cannot be started: {error.strerror or error}."
        code = await self._process.wait()
        if self._failure:
            return self._failure
        self._killed = was_killed(code)
        reason = describe_exit(code)
        if self._state is EngineState.STARTING and code in CRASHES:
            reason += f" Perhaps {Path(self.settings.model).name} is damaged."
        return reason

    def _supervisor_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("The engine process cannot be started.", exc_info=error)
            self._failure = "The engine process cannot be started; the log says why."
            self._set_state(EngineState.FAILED)
            self._fail_all(self._failure)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StepOutputs):
            for output in event.outputs:
                running = self._running.get(output.id)
                if running is None:
                    continue
                running.generation.feed(output)
                if running.generation.complete:
                    del self._running[output.id]
                    self._suspects.acquit(running.request)
        elif isinstance(event, (Accepted, Tokenized, Stats)):
            self._answer(event.id, event)
        elif isinstance(event, Refused):
            self._running.pop(event.id, None)
            self._answer(event.id, event.error())
        elif isinstance(event, Ready):
            self._info = event.info
            self._set_state(EngineState.READY)
        elif isinstance(event, LoadFailed):
            self._failure = event.message

    def _answer(self, id: int, answer: EngineAnswer | Exception) -> None:
        future = self._asking.get(id)
        if future is None or future.done():
            return
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _fail_all(self, message: str) -> None:
        for id in self._asking:
            self._answer(id, EngineDied(message))
        for running in self._running.values():
            running.generation.feed(EngineDied(message))
        self._running.clear()

    def _set_state(self, state: EngineState) -> None:
        if self._state is not EngineState.STOPPED:
            self._state = state
        self._state_changed.set()
        self._state_changed.clear()

    def _raise_unavailable(self) -> NoReturn:
        if self._state is EngineState.FAILED:
            raise (EngineKilled if self._killed else EngineStartError)(self._failure)
        if self._state is EngineState.STOPPED:
            raise EngineUnavailable("The engine was stopped.")
        wait = max(self._retry_at - time.monotonic(), 0.0) + 1.0
        if self._backoff.holds:
            raise EngineUnavailable(
                f"The engine crashed {self._backoff.crashes} times in a row; the server's log says "
                f"why. It is tried again in {wait:.0f} s.",
                retry_after=wait,
            )
        raise EngineUnavailable("The engine is restarting. Try again shortly.", retry_after=wait)

    def _computed(self) -> Iterator[GenerationRequest]:
        """What the engine was computing, as far as can be told from here: what has outputs, and as
        many of the others as had a place, in their order."""
        places = self.settings.parallel
        for running in self._running.values():
            if running.generation.started or places > 0:
                yield running.request
            places -= running.request.options.n


class _Running(NamedTuple):
    request: GenerationRequest
    generation: Generation
