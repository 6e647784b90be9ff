"""From exceptions to answers: one table, one body shape.

HTTP adds these to the tree of `edge_llama.errors`:

```
RequestError
├── InvalidJson           the body is not a JSON object
├── UnsupportedMediaType  the body's content type is not JSON, or it is compressed
├── BodyTooLarge          the body is over the limit
├── HostNotAllowed        the server does not answer under that name
├── InvalidApiKey         the key is missing or wrong
└── TooManyRequests       come back later (retry_after, seconds)
ServerStopping            the server stops before the answer is whole
ServerFull                there are as many connections as can be
ClientDisconnected        the client went away; nobody is left to answer
```
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from edge_llama.api.dialect import speaks_anthropic
from edge_llama.api.shapes import AnthropicError, Error
from edge_llama.api.state.request_state import request_state
from edge_llama.errors import (
    BudgetExceeded,
    ContextLengthExceeded,
    EdgeLlamaError,
    EngineDied,
    EngineKilled,
    EngineStartError,
    EngineUnavailable,
    LimitReached,
    ModelNotAllowed,
    ModelNotFound,
    RequestError,
    RequestTimedOut,
    StateError,
    TemplateError,
)

MAX_RETRY_AFTER = 120
"""Seconds; some clients give up on longer waits."""

MAX_MESSAGE = 1000
MAX_PARAM = 200
"""Characters; of longer ones the middle is left out."""

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that went away; never sent to anyone."""

NO_ROUTE = "This server has no such route; see GET /v1/models and POST /v1/chat/completions."

logger = logging.getLogger(__name__)


class InvalidJson(RequestError):
    """The body is not a JSON object."""

    default_code = "invalid_json"


class UnsupportedMediaType(RequestError):
    """The body's content type is not JSON, or it is compressed."""


class BodyTooLarge(RequestError):
    """The body is over the limit."""


class HostNotAllowed(RequestError):
    """The server does not answer under that name."""


class InvalidApiKey(RequestError):
    """The key is missing or wrong."""

    default_code = "invalid_api_key"


class TooManyRequests(RequestError):
    """This client asks too much at once, or guesses keys.

    Args:
        retry_after: seconds after which a retry makes sense.
    """

    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(f"{message} Try again later.")
        self.retry_after = retry_after


class ServerStopping(EdgeLlamaError):
    """The server stops before the answer is whole."""


class ServerFull(EdgeLlamaError):
    """There are as many connections as can be."""


class ClientDisconnected(Exception):
    """The client went away; nobody is left to answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """How an exception is told. `text` None shows the exception's own, which is then public.

    `code` is for exceptions that have none of their own.
    """

    status: int
    type: str
    text: str | None = None
    code: str | None = None


_INVALID_REQUEST = "invalid_request_error"
_SERVER_ERROR = "server_error"

_ANSWERS: dict[type[BaseException], _Answer] = {
    InvalidApiKey: _Answer(401, "authentication_error"),
    BudgetExceeded: _Answer(402, "billing_error"),
    ModelNotAllowed: _Answer(403, "permission_error"),
    ModelNotFound: _Answer(404, _INVALID_REQUEST),
    BodyTooLarge: _Answer(413, _INVALID_REQUEST),
    UnsupportedMediaType: _Answer(415, _INVALID_REQUEST),
    HostNotAllowed: _Answer(421, _INVALID_REQUEST),
    TooManyRequests: _Answer(429, "rate_limit_error"),
    LimitReached: _Answer(429, "rate_limit_error"),
    RequestError: _Answer(400, _INVALID_REQUEST),
    TemplateError: _Answer(400, _INVALID_REQUEST, code="invalid_value"),
    EngineUnavailable: _Answer(503, _SERVER_ERROR),
    EngineDied: _Answer(503, _SERVER_ERROR),
    RequestTimedOut: _Answer(503, _SERVER_ERROR, code="timeout"),
    ServerStopping: _Answer(503, _SERVER_ERROR),
    ServerFull: _Answer(503, _SERVER_ERROR),
    StateError: _Answer(503, _SERVER_ERROR, "The API keys cannot be read; the log says why."),
    EngineKilled: _Answer(
        503, _SERVER_ERROR, "The engine was killed while it loaded; the server's log says why."
    ),
    EngineStartError: _Answer(
        500, _SERVER_ERROR, "The model could not be loaded; the server's log says why."
    ),
    BaseException: _Answer(500, _SERVER_ERROR, "The server failed; its log says why."),
}

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    421: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Types by status: https://docs.claude.com/en/api/errors"""


def error_body(error: Exception) -> Error:
    """OpenAI's error object for `error`: no traceback, no path, no address."""
    if isinstance(error, HTTPException):
        return _body(error.detail, _INVALID_REQUEST)
    answer = _answer(error)
    return _body(
        answer.text or str(error),
        answer.type,
        getattr(error, "param", None),
        getattr(error, "code", answer.code),
    )


def anthropic_error_body(error: Exception) -> AnthropicError:
    """The same as Anthropic's API tells it."""
    kind = _ANTHROPIC_TYPES.get(_status(error), "api_error")
    message = error_body(error)["error"]["message"]
    if isinstance(error, ContextLengthExceeded):
        # Clients look for these words, and shorten the conversation. An answer needs a token too.
        message = f"prompt is too long: {error.prompt_tokens} tokens > {error.n_ctx - 1} maximum"
    return {"type": "error", "error": {"type": kind, "message": message}}


class ErrorResponse(JSONResponse):
    """Tells of `error` in the shape of the API that was asked."""

    def __init__(self, error: Exception) -> None:
        status = _status(error)
        super().__init__(error_body(error), status, headers=_headers(error, status))
        # Not the error itself: it would keep what it was raised over, and the request, alive.
        self._anthropic_body = self.render(anthropic_error_body(error))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if speaks_anthropic(scope):
            self.body = self._anthropic_body
            self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def error_response(error: Exception) -> ErrorResponse:
    return ErrorResponse(error)


async def handle_error(request: Request, error: Exception) -> Response:
    """The exception handler for what is raised on purpose."""
    log_error(error)
    return error_response(error)


async def handle_no_route(request: Request, error: Exception) -> Response:
    """The exception handler for addresses that are not served."""
    return error_response(HTTPException(404, NO_ROUTE))


async def handle_wrong_method(request: Request, error: Exception) -> Response:
    """The exception handler for addresses that take other methods; `Allow` names them."""
    assert isinstance(error, HTTPException)
    return error_response(
        HTTPException(
            405,
            f"{request.method[:20]} is not possible here. Use {(error.headers or {})['Allow']}.",
            error.headers,
        )
    )


async def handle_disconnect(request: Request, error: Exception) -> Response:
    """The exception handler for clients that went away."""
    logger.debug("A client went away before its answer was ready.")
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def handle_bug(request: Request, error: Exception) -> Response:
    """The exception handler for everything else. Runs outside of the app's middleware.

    Starlette raises the error again, and the server logs it.
    """
    response = error_response(error)
    response.headers["x-request-id"] = request_state(request.scope).id
    return response


def log_error(error: Exception) -> None:
    """Errors of this package that are not the client's get a line; bugs, a traceback."""
    if isinstance(error, (RequestError, TemplateError, HTTPException)):
        return
    if isinstance(error, EdgeLlamaError):
        logger.warning("A request failed: %s", error)
    else:
        logger.error("A request failed because of a bug.", exc_info=error)


def _status(error: Exception) -> int:
    return error.status_code if isinstance(error, HTTPException) else _answer(error).status


def _answer(error: Exception) -> _Answer:
    return next(_ANSWERS[kind] for kind in type(error).__mro__ if kind in _ANSWERS)


def _body(message: str, kind: str, param: str | None = None, code: str | None = None) -> Error:
    param = param and _shortened(param, MAX_PARAM)
    message = _shortened(message, MAX_MESSAGE)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _shortened(text: str, most: int) -> str:
    """Names and paths in it come from the request, and can be as long as that."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}...{text[-(most // 2 - 3) :]}"


def _headers(error: Exception, status: int) -> dict[str, str]:
    if isinstance(error, HTTPException):
        return dict(error.headers or {})
    if isinstance(error, InvalidApiKey):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, BodyTooLarge):
        return {"Connection": "close"}
    if status in (429, 503):
        seconds = getattr(error, "retry_after", 1.0)
        headers = {"Retry-After": str(max(1, min(MAX_RETRY_AFTER, math.ceil(seconds))))}
        if isinstance(error, RequestTimedOut):
            headers["x-should-retry"] = "false"
        return headers
    if status == 500:
        return {"x-should-retry": "false"}
    return {}
