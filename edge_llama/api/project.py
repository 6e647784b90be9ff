"""The address `/project/p-…/genai/{model}/v1/…`: the path names the model."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_llama.errors import InvalidValue

PROJECT_PREFIX = "/project/{project}/genai/{model:path}/v1"

_PROJECT = re.compile(r"p-.+")
_INTEGER = re.compile(r"-?[0-9]{1,19}")


class ProjectRoutes:
    """Checks project and model of the path and the `project_id` of the query, then goes on.

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
        request.app.state.registry.resolve(request.path_params["model"])
        for project_id in request.query_params.getlist("project_id"):
            if not _INTEGER.fullmatch(project_id):
                raise InvalidValue("project_id must be an integer.", param="project_id")
        await self._app(scope, receive, send)
