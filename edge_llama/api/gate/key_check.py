"""The API key check, in front of everything but /health and pages that are the same everywhere."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_llama.api.errors import InvalidApiKey, TooManyRequests, error_response, log_error
from edge_llama.api.gate.guess_limit import GuessLimit
from edge_llama.api.gate.key_door import Caller, KeyDoor
from edge_llama.api.gate.rate_limit_headers import RateLimitHeaders
from edge_llama.api.state.request_state import request_state
from edge_llama.errors import StateError

PUBLIC_PATHS = frozenset({"/", "/docs", "/health", "/health/live", "/health/ready"})
MANUAL_PREFIX = "/docs/"


def is_public(path: str) -> bool:
    """Whether requests to this address need no key."""
    return path in PUBLIC_PATHS or path.startswith(MANUAL_PREFIX)


class ApiKeyMiddleware:
    """Lets a request pass that carries one of the keys; others get a 401.

    The key is a Bearer token, or stands in `x-api-key`, as Anthropic's clients send it.

    Who is wrong too often gets a 429 instead. The request's state gets its caller and account.

    Args:
        app: what is guarded.
        door: knows the keys; without any, every request passes.
    """

    def __init__(self, app: ASGIApp, door: KeyDoor) -> None:
        self._app = app
        self._door = door
        self._guesses = GuessLimit()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            caller = self._caller(scope)
        except StateError as error:
            log_error(error)
            await error_response(error)(scope, receive, send)
            return
        if caller is None:
            await error_response(self._refusal(scope))(scope, receive, send)
        else:
            state = request_state(scope)
            state.caller, state.account = caller.id, caller.account
            if caller.account is not None:
                send = RateLimitHeaders(send, caller.account)
            await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller | None:
        if is_public(scope["path"]) or not self._door.guarded:
            return Caller()
        key = _offered_key(Headers(scope=scope))
        return None if key is None else self._door.find(key)

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
