"""Whom the chat talks to: a model in this process's engine, or one that a server has loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol

from edge_llama.chat.events import ChatEvent, Usage
from edge_llama.chat.messages import ChatRequest
from edge_llama.chat.model import ChatModel


class PartnerReply(Protocol):
    """An answer as it comes; leaving its context stops it."""

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        ...

    async def __aenter__(self) -> PartnerReply: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[ChatEvent]:
        """Raises EngineError when it breaks off."""
        ...


class Partner(Protocol):
    """A model to talk to."""

    async def ready(self) -> None:
        """Wait until it can be asked. Raises EngineError if it never can."""
        ...

    async def start(self, request: ChatRequest) -> PartnerReply:
        """Ask. Raises RequestError, TemplateError or EngineError when it is refused."""
        ...


class OwnPartner:
    """A model in an engine of this program, which may be restarting."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    async def ready(self) -> None:
        await self._model.engine.recovered()

    async def start(self, request: ChatRequest) -> PartnerReply:
        return await self._model.start(request)
