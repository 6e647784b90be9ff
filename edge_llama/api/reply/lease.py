"""Leases of the models that requests name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request

from edge_llama.api.http.disconnect import unless_disconnected
from edge_llama.api.state.app_state import state_of
from edge_llama.api.state.request_state import request_state
from edge_llama.chat.model import ChatModel
from edge_llama.pool.registry import ServedModel

T = TypeVar("T")


def model_of(request: Request, name: str) -> ServedModel:
    """The model of that name.

    Raises:
        ModelNotFound: nothing that is served has it.
        ModelNotAllowed: the request's key may not use it.
    """
    model = state_of(request).registry.resolve(name)
    account = request_state(request.scope).account
    if account is not None:
        account.check_model(model.id)
    return model


def first_model(request: Request) -> ServedModel:
    """The one that clients get who name none.

    Raises:
        ModelNotAllowed: the request's key may not use any.
    """
    models = usable_models(request)
    return models[0] if models else model_of(request, next(iter(state_of(request).registry)).id)


def usable_models(request: Request) -> list[ServedModel]:
    """Those that the request's key may use, in the order in which they are served."""
    account = request_state(request.scope).account
    models = state_of(request).registry
    return [model for model in models if account is None or account.may_use(model.id)]


def named_or_first(request: Request, name: str | None) -> ServedModel:
    """The model of that name, or the first for who names none. Raises as `model_of`."""
    return first_model(request) if name is None else model_of(request, name)


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
