"""GET /health, /health/live and /health/ready: public, and answered at once."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

from edge_llama.api.errors import error_response
from edge_llama.errors import EngineUnavailable
from edge_llama.pool.pooled_model import ModelState
from edge_llama.pool.registry import ModelRegistry


async def health(request: Request) -> JSONResponse:
    """Always 200: `ok` when the server can take requests, else why not; the state of each model."""
    registry: ModelRegistry = request.app.state.registry
    models = [{"id": model.id, "state": model.state.value} for model in registry]
    return JSONResponse({"status": _obstacle(request.app) or "ok", "models": models})


async def live(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> JSONResponse:
    """200 when the server can take requests, else 503.

    It can when it is not stopping, a model was loaded since the start, and not all are failing. A
    model that is not loaded now does not matter: a request loads it.
    """
    state = _obstacle(request.app)
    if state is not None:
        # Returned, not raised: that somebody asks is no failure for the log.
        return error_response(EngineUnavailable(f"The server cannot take requests: it is {state}."))
    return JSONResponse({"status": "ok"})


def _obstacle(app: Starlette) -> str | None:
    if app.state.stopping:
        return "stopping"
    registry: ModelRegistry = app.state.registry
    states = [model.state for model in registry]
    if all(state in (ModelState.RESTARTING, ModelState.FAILED) for state in states):
        return states[0].value
    if ModelState.LOADING in states and all(model.info is None for model in registry):
        return ModelState.LOADING.value
    return None
