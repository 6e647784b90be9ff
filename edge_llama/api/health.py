"""GET /health, /health/live and /health/ready: public, and answered at once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from edge_llama.api.registry import ModelRegistry
from edge_llama.engine.client import EngineState
from edge_llama.errors import EngineUnavailable


async def health(request: Request) -> JSONResponse:
    """Always 200: `ok` when every model is ready, else the first other state, e.g. `starting`."""
    registry: ModelRegistry = request.app.state.registry
    models = [{"id": model.id, "state": model.state.value} for model in registry]
    return JSONResponse({"status": _waiting(registry) or "ok", "models": models})


async def live(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> JSONResponse:
    """200 when every model is ready, else 503."""
    state = _waiting(request.app.state.registry)
    if state is not None:
        raise EngineUnavailable(f"Not every model is ready: one is {state}.")
    return JSONResponse({"status": "ok"})


def _waiting(registry: ModelRegistry) -> str | None:
    states = (model.state for model in registry)
    return next((state.value for state in states if state is not EngineState.READY), None)
