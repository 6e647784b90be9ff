"""The API key check, in front of everything but /health and pages that are the same everywhere."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_llama.api.errors import InvalidApiKey, TooManyRequests, error_response
from edge_llama.api.gate.guess_limit import GuessLimit
from edge_llama.api.gate.hashed_key import HashedKey, hash_key
from edge_llama.api.state.request_state import request_state

PUBLIC_PATHS = frozenset({"/", "/docs", "/health", "/health/live", "/health/ready"})
MANUAL_PREFIX = "/docs/"


def is_public(path: str) -> bool:
    """Whether requests to this address need no key."""
    return path in PUBLIC_PATHS or path.startswith(MANUAL_PREFIX)


class ApiKeyMiddleware:
    """Lets a request pass that carries one of the keys; others get a 401.

    The key is a Bearer token, or stands in `x-api-key`, as Anthropic's clients send it.

    Who is wrong too often gets a 429 instead. The request's state gets its `caller`.

    Args:
        app: what is guarded.
        keys: gives those of the moment; none lets every request pass.
    """

    def __init__(self, app: ASGIApp, keys: Callable[[], Collection[HashedKey]]) -> None:
        self._app = app
        self._keys = keys
        self._guesses = GuessLimit()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = self._caller(scope)
        if caller is None:
            await error_response(self._refusal(scope))(scope, receive, send)
        else:
            request_state(scope).caller = caller
            await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> str | None:
        keys = self._keys()
        if not keys or is_public(scope["path"]):
            return ""
        key = _offered_key(Headers(scope=scope))
        if key is None:
            return None
        offered = hash_key(key)
        # Every key is compared, in the same time whether it fits or not.
        fitting = [each for each in keys if hmac.compare_digest(each.digest, offered)]
        return fitting[0].digest.hex() if fitting else None

    def _refusal(self, scope: Scope) -> InvalidApiKey | TooManyRequests:
        offered = not {"authorization", "x-api-key"}.isdisjoint(Headers(scope=scope))
        client = scope.get("client")
        wait = self._guesses.wrong(client[0] if client else "") if offered else 0.0
        if wait:
            return TooManyRequests("Too many wrong API keys.", retry_after=wait)
        return InvalidApiKey(
            "The API key is missing or wrong. Send it as 'Authorization: Bearer KEY'."
        )


def _offered_key(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else headers.get("x-api-key")
