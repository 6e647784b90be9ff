"""The request's address: what clients write in several ways is read in one."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_WHOLE_ADDRESS = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_DOUBLED = re.compile(r"^/{2,}|(?<=/v1)/{2,}")


class AddressMiddleware:
    """Clients join a base URL and a path, and do not always mind the slashes.

    `/v1//models` and `/v1/models/` are `/v1/models`; slashes within a model's name stay. A request
    line with a whole address, `GET http://host/v1/models`, as clients behind proxies write it, is
    of that path, and of that host instead of the Host header's (RFC 9112, 3.2.2).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _take_host(scope)
            scope["path"] = _DOUBLED.sub("/", scope["path"]).rstrip("/") or "/"
        await self._app(scope, receive, send)


def _take_host(scope: Scope) -> None:
    whole = _WHOLE_ADDRESS.match(scope["path"])
    if whole is None:
        return
    scope["path"] = scope["path"][whole.end() :]
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    scope["headers"] = [(b"host", whole[1].encode()), *others]
