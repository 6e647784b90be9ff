"""Endpoint: one route of the API, and what /openapi.json says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.shapes import Error


@dataclass(frozen=True, kw_only=True, eq=False)
class Endpoint:
    """One method of one address; equal to itself only.

    Attributes:
        method: of HTTP.
        path: as Starlette writes it.
        handle: answers a request.
        summary: what it is for, in a few words.
        answer: type of the JSON of an answer.
        media_type: of an answer that is not JSON.
        query: names of its query parameters.
        headers: names of headers that make a difference.
        body: schema of the request's body, if it has one.
        example: a body that the demo model answers.
        events: type of the JSON of each event, if the answer can be streamed.
        last_data: ends a stream, where that is not JSON.
        error: type of the JSON of an error.
        errors: statuses of the errors there can be, besides those of every address.
    """

    method: str
    path: str
    handle: Callable[[Request], Awaitable[Response]]
    summary: str
    answer: Any
    media_type: str = "application/json"
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    example: Mapping[str, Any] | None = None
    events: Any = None
    last_data: str | None = None
    error: Any = Error
    errors: tuple[int, ...] = ()
