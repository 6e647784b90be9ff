"""Endpoint: one route of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_llama.api.request_body import ignored_header

IGNORED_HEADER = "X-Edge-Llama-Ignored"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one address.

    Attributes:
        method: of HTTP.
        path: as Starlette writes it.
        handle: answers a request.
    """

    method: str
    path: str
    handle: Callable[[Request], Awaitable[Response]]

    def route(self) -> Route:
        return Route(self.path, self._respond, methods=[self.method])

    async def _respond(self, request: Request) -> Response:
        response = await self.handle(request)
        ignored = getattr(request.state, "ignored", ())
        if ignored:
            response.headers[IGNORED_HEADER] = ignored_header(ignored)
        return response
