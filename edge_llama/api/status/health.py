"""GET /health, /health/live and /health/ready: public, and answered at once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from edge_llama.api.errors import error_response
from edge_llama.api.state.app_state import AppState, state_of
from edge_llama.api.status.shapes import Health, Status
from edge_llama.errors import EngineUnavailable
from edge_llama.pool.pooled_model import ModelState

_OK: Status = {"status": "ok"}


async def health(request: Request) -> JSONResponse:
    """Always 200: `ok` when the server can take requests, else why not; the state of each model."""
    state = state_of(request)
    told: Health = {
        "status": _obstacle(state) or "ok",
        "models": [{"id": model.id, "state": model.state.value} for model in state.registry],
    }
    return JSONResponse(told)


async def live(request: Request) -> JSONResponse:
    return JSONResponse(_OK)


async def ready(request: Request) -> JSONResponse:
    """200 when the server can take requests, else 503.

    It can when it is not stopping, a model was loaded since the start, and not all are failing. A
    model that is not loaded now does not matter: a request loads it.
    """
    obstacle = _obstacle(state_of(request))
    if obstacle is not None:
        # Returned, not raised: that somebody asks is no failure for the log.
        return error_response(
            EngineUnavailable(f"The server cannot take requests: it is {obstacle}.")
        )
    return JSONResponse(_OK)


def _obstacle(state: AppState) -> str | None:
    if state.stopping:
        return "stopping"
    states = [model.state for model in state.registry]
    if all(state in (ModelState.RESTARTING, ModelState.FAILED) for state in states):
        return states[0].value
    if ModelState.LOADING in states and all(model.info is None for model in state.registry):
        return ModelState.LOADING.value
    return None
