"""RequestBody: the body of a request, from bytes to a validated object."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

from starlette.requests import Request

from edge_llama.api.http.disconnect import unless_disconnected
from edge_llama.api.request.body import parse_object, read_body
from edge_llama.api.request.ignored import ignored_fields
from edge_llama.api.request.unsupported import HARMLESS_VALUES, refuse_unsupported
from edge_llama.api.request.validation import Schema, validate
from edge_llama.api.state.app_state import state_of
from edge_llama.api.state.request_state import request_state
from edge_llama.errors import UnsupportedParameter

MAX_AT_ONCE = 16 * 1024
"""Bytes of a body that is parsed where it is read, in a few milliseconds at most. Larger ones wait
for a thread of their own, one for all: it takes turns with the event loop, so that streams go on.
"""

logger = logging.getLogger(__name__)

_parser = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parser")


class RequestBody(Schema):
    """The base of the schemas of whole bodies.

    Attributes:
        harmless_values: parameters that are not implemented, with their values that may pass.
    """

    harmless_values: ClassVar[Mapping[str, tuple[Any, ...]]] = HARMLESS_VALUES


B = TypeVar("B", bound=RequestBody)
Converted = TypeVar("Converted")


def parse(schema: type[B], body: Mapping[str, Any]) -> B:
    """The validated request.

    Raises:
        RequestError: a parameter has a wrong value or is not supported; `param` names it.
    """
    refuse_unsupported(body, schema.harmless_values)
    return validate(schema, body)


async def read_request(request: Request, parse: Callable[[Mapping[str, Any]], B]) -> B:
    """The request's body as `parse` takes it.

    What is not used of it is noted in the request's state as `ignored`.

    Raises:
        RequestError: it cannot be read, is not valid, or has a field that is not used by a strict
            server.
        ClientDisconnected: the client went away before the end.
    """
    asked, _ = await read_converted(request, parse, lambda asked: None)
    return asked


async def read_converted(
    request: Request, parse: Callable[[Mapping[str, Any]], B], convert: Callable[[B], Converted]
) -> tuple[B, Converted]:
    """The same, and what `convert` makes of it. Raises as `read_request` and that do."""
    settings = state_of(request).settings
    body = await read_body(request, settings.limits.max_body_bytes)

    def understand() -> tuple[B, Converted]:
        asked = _understood(request, body, parse)
        return asked, convert(asked)

    async def understand_aside() -> tuple[B, Converted]:
        return await asyncio.get_running_loop().run_in_executor(_parser, understand)

    if len(body) <= MAX_AT_ONCE:
        return understand()
    return await unless_disconnected(request.receive, understand_aside())


def _understood(request: Request, body: bytes, parse: Callable[[Mapping[str, Any]], B]) -> B:
    """The validated request. The path's model, if it names one, replaces the body's; if neither
    names one, it is the one that is served, unless there are several.
    """
    settings, state = state_of(request).settings, request_state(request.scope)
    fields = parse_object(body)
    if settings.log_prompts:
        logger.warning("%s %s: %s", state.id, request.url.path, json.dumps(fields))
    if "model" in request.path_params:
        fields["model"] = request.path_params["model"]
    if fields.get("model") is None:
        fields |= _only_model(request)
    asked = parse(fields)
    ignored = ignored_fields(asked, asked.harmless_values)
    if ignored and settings.strict:
        raise UnsupportedParameter(
            f"{ignored[0]} is not used by this server, which refuses such fields (`strict`). "
            "Leave it out.",
            param=ignored[0],
        )
    state.ignored = ignored
    return asked


def _only_model(request: Request) -> dict[str, str]:
    served = list(state_of(request).registry)
    return {"model": served[0].id} if len(served) == 1 else {}
