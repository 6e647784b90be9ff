"""The Starlette app: routes, middleware, exception handler and lifespan, as data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from edge_llama.accounts.accounts import Accounts
from edge_llama.accounts.usage_writer import UsageWriter
from edge_llama.api.endpoints import ROOT_ENDPOINTS, V1_ENDPOINTS
from edge_llama.api.errors import (
    ClientDisconnected,
    handle_bug,
    handle_disconnect,
    handle_error,
    handle_no_route,
    handle_wrong_method,
)
from edge_llama.api.gate.admission import AdmissionMiddleware
from edge_llama.api.gate.hosts import HostMiddleware
from edge_llama.api.gate.key_check import ApiKeyMiddleware
from edge_llama.api.gate.key_door import KeyDoor
from edge_llama.api.gate.rate_limit_headers import NAMES as RATE_LIMIT_HEADERS
from edge_llama.api.gate.web_pages import WebPageMiddleware
from edge_llama.api.http.address import AddressMiddleware
from edge_llama.api.http.request_id import RequestIdMiddleware
from edge_llama.api.reply.reply import DROPPED_HEADER
from edge_llama.api.request.ignored import IGNORED_HEADER
from edge_llama.api.routes import routes_of
from edge_llama.api.state.app_state import AppState, give_state, state_of
from edge_llama.errors import EdgeLlamaError
from edge_llama.pool.registry import ModelRegistry
from edge_llama.settings.server import ServerSettings


def create_app(
    registry: ModelRegistry, settings: ServerSettings, accounts: Accounts | None = None
) -> Starlette:
    """The HTTP API of the models in `registry`.

    Its lifespan begins to load the first of them, and unloads all at the end.

    Args:
        registry: what is served.
        settings: how.
        accounts: keys besides those of the settings, and what all of them use; the app closes it.
    """
    state = AppState(
        registry=registry,
        settings=settings,
        root_endpoints=ROOT_ENDPOINTS,
        v1_endpoints=V1_ENDPOINTS,
        accounts=accounts,
        usage_writer=None if accounts is None else UsageWriter(accounts),
    )
    app = Starlette(
        routes=routes_of(state),
        middleware=_middleware(settings, KeyDoor(settings, accounts)),
        exception_handlers={
            EdgeLlamaError: handle_error,
            HTTPException: handle_error,
            404: handle_no_route,
            405: handle_wrong_method,
            ClientDisconnected: handle_disconnect,
            Exception: handle_bug,
        },
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    give_state(app, state)
    return app


def _middleware(settings: ServerSettings, door: KeyDoor) -> list[Middleware]:
    """The first is the outermost."""
    layers = [
        Middleware(RequestIdMiddleware),
        Middleware(AddressMiddleware),
        Middleware(HostMiddleware, allowed=settings.allowed_hosts),
    ]
    if settings.cors_origins:
        # A browser asks for leave without the key, and shows a refusal only if it may be read.
        layers.append(
            Middleware(
                WebPageMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=[
                    *("retry-after", "x-request-id", IGNORED_HEADER, DROPPED_HEADER),
                    *RATE_LIMIT_HEADERS,
                ],
            )
        )
    return [
        *layers,
        Middleware(ApiKeyMiddleware, door=door),
        Middleware(AdmissionMiddleware, limits=settings.limits),
    ]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    state = state_of(app)
    registry, writer = state.registry, state.usage_writer
    first = next(iter(registry))
    registry.pool.preload(first.pooled)
    if writer is not None:
        writer.start()
    try:
        yield
    finally:
        await registry.pool.close()
        if writer is not None:
            await writer.close()
