"""The app's routes: each endpoint at its addresses."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_llama.api.endpoint import Endpoint
from edge_llama.api.request.ignored import IGNORED_HEADER, ignored_header
from edge_llama.api.state.app_state import AppState, state_of
from edge_llama.api.state.request_state import request_state
from edge_llama.errors import InvalidValue

PROJECT_PREFIX = "/project/{project}/genai/{model:path}/v1"

_PROJECT = re.compile(r"p-.+")
_INTEGER = re.compile(r"-?[0-9]{1,19}")


def routes_of(state: AppState) -> list[BaseRoute]:
    """What leads to all of its endpoints."""
    v1 = Router([_route(endpoint) for endpoint in state.v1_endpoints], redirect_slashes=False)
    return [
        *(_route(endpoint) for endpoint in state.root_endpoints),
        Mount("/v1", v1),
        Mount(PROJECT_PREFIX, ProjectRoutes(v1)),
    ]


def _route(endpoint: Endpoint) -> Route:
    async def respond(request: Request) -> Response:
        response = await endpoint.handle(request)
        ignored = request_state(request.scope).ignored
        if ignored:
            response.headers[IGNORED_HEADER] = ignored_header(ignored)
        return response

    return Route(endpoint.path, respond, methods=[endpoint.method])


class ProjectRoutes:
    """The addresses `/project/p-…/genai/{model}/v1/…`, of which the path names the model.

    Checks project and model of the path and the `project_id` of the query, then goes on.

    Raises:
        HTTPException: 404, the project does not start with `p-`.
        ModelNotFound: the path's model is not served.
        InvalidValue: `project_id` is not an integer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if not _PROJECT.fullmatch(request.path_params["project"]):
            raise HTTPException(404)
        state_of(request).registry.resolve(request.path_params["model"])
        for project_id in request.query_params.getlist("project_id"):
            if not _INTEGER.fullmatch(project_id):
                raise InvalidValue("project_id must be an integer.", param="project_id")
        await self._app(scope, receive, send)
