"""What a chat needs of an engine; `AsyncEngine` is one."""

from __future__ import annotations

from typing import Protocol

from edge_llama.engine.client.async_engine import EngineState
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.output import Output
from edge_llama.engine.protocol.prompt import Prompt
from edge_llama.engine.protocol.request import GenerationRequest
from edge_llama.engine.protocol.stats import EngineStats
from edge_llama.engine.protocol.wire import Tokenized


class OutputStream(Protocol):
    """A running request: an async iterator that ends when all choices are finished or aborted."""

    @property
    def prompt_tokens(self) -> int: ...

    async def __anext__(self) -> Output:
        """Raises EngineError when the engine ends before the request does, or time is up."""
        ...

    def abort(self, index: int | None = None) -> None:
        """End one choice, or all; it gives no more outputs."""
        ...


class Engine(Protocol):
    """A loaded model."""

    @property
    def state(self) -> EngineState: ...

    @property
    def info(self) -> ModelInfo: ...

    def launch(self) -> None:
        """Start without waiting."""
        ...

    async def ready(self) -> ModelInfo:
        """Wait while the model is loaded for the first time; raises EngineUnavailable while it is
        restarting."""
        ...

    async def recovered(self) -> ModelInfo:
        """As `ready`, but waits for an engine that is restarting too."""
        ...

    async def stop(self) -> None: ...

    async def tokenize(self, prompt: Prompt) -> Tokenized:
        """The tokens of a prompt."""
        ...

    async def submit(self, request: GenerationRequest) -> OutputStream:
        """Run a request; every refusal is raised here."""
        ...

    async def stats(self) -> EngineStats:
        """What was done since the start. Raises EngineUnavailable when it is not running."""
        ...
