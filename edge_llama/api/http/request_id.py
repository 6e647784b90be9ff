"""The x-request-id header: the client's own, or a new one."""

from __future__ import annotations

import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_llama.api.state.request_state import begin_request

_USABLE = re.compile(r"[\x21-\x7e]{1,128}")


class RequestIdMiddleware:
    """Begins the request's state with its id, which the response's headers have too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        begin_request(scope, request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def _request_id(given: str) -> str:
    return given if _USABLE.fullmatch(given) else f"req_{uuid.uuid4().hex}"
