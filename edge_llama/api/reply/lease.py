"""Leases of the models that requests name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request

from edge_llama.api.http.disconnect import unless_disconnected
from edge_llama.api.state.app_state import state_of
from edge_llama.chat.model import ChatModel
from edge_llama.pool.registry import ServedModel

T = TypeVar("T")


def model_of(request: Request, name: str) -> ServedModel:
    """The model of that name.

    Raises:
        ModelNotFound: nothing that is served has it.
    """
    return state_of(request).registry.resolve(name)


def first_model(request: Request) -> ServedModel:
    """The one that clients get who name none."""
    return next(iter(state_of(request).registry))


async def with_model(
    request: Request, model: ServedModel, work: Callable[[ChatModel], Awaitable[T]]
) -> T:
    """The result of `work`, which ends when the client goes away; the model is loaded for it.

    Raises:
        EngineError: the model could not be loaded.
        ClientDisconnected: the client went away.
    """
    pool = state_of(request).registry.pool

    async def run() -> T:
        async with pool.use(model.pooled) as chat:
            return await work(chat)

    return await unless_disconnected(request.receive, run())
