"""The API key check, in front of everything but /health."""

from __future__ import annotations

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_llama.api.errors import InvalidApiKey, error_response

PUBLIC_PATHS = frozenset({"/health", "/health/live", "/health/ready"})


class ApiKeyMiddleware:
    """Lets a request pass that carries the key as a Bearer token; others get a 401.

    Puts who asked into the request's state as `caller`: a hash of the key, empty if none is needed.

    Args:
        app: what is guarded.
        api_key: None lets every request pass.
    """

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self._app = app
        self._digest = None if api_key is None else _digest(api_key.strip())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._passes(scope):
            caller = "" if self._digest is None else self._digest.hex()
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, send)
        else:
            error = InvalidApiKey(
                "The API key is missing or wrong. Send it as 'Authorization: Bearer KEY'."
            )
            await error_response(error)(scope, receive, send)

    def _passes(self, scope: Scope) -> bool:
        if self._digest is None or scope["type"] != "http" or scope["path"] in PUBLIC_PATHS:
            return True
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        return hmac.compare_digest(_digest(key.strip()), self._digest) and (
            scheme.lower() == "bearer"
        )


def _digest(key: str) -> bytes:
    """Equal lengths, so that comparing takes the same time for every key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
