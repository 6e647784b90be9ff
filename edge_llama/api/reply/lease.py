"""Work with a model that needs no answer of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request

from edge_llama.api.http.disconnect import unless_disconnected
from edge_llama.chat.model import ChatModel
from edge_llama.pool.registry import ModelRegistry, ServedModel

T = TypeVar("T")


async def with_model(
    request: Request, model: ServedModel, work: Callable[[ChatModel], Awaitable[T]]
) -> T:
    """The result of `work`, which ends when the client goes away; the model is loaded for it.

    Raises:
        EngineError: the model could not be loaded.
        ClientDisconnected: the client went away.
    """
    registry: ModelRegistry = request.app.state.registry

    async def run() -> T:
        async with registry.pool.use(model.pooled) as chat:
            return await work(chat)

    return await unless_disconnected(request.receive, run())
