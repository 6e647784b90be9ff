"""GET /openapi.json: the OpenAPI 3.1 document of all endpoints, made from their types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode, JsonSchemaValue
from starlette.requests import Request
from starlette.responses import Response

import edge_llama
from edge_llama.api.endpoint import Endpoint
from edge_llama.api.gate.key_check import is_public
from edge_llama.api.request.ignored import IGNORED_HEADER
from edge_llama.api.request.sampling import ConversationRequest
from edge_llama.api.routes import PROJECT_PREFIX
from edge_llama.api.state.app_state import state_of

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_REF_TEMPLATE = "#/components/schemas/{model}"
_REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')
_OF_EVERY_ADDRESS = (401, 421, 429)
_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
_IGNORED = {
    "description": "Fields of the body that were accepted and not used.",
    "schema": {"type": "string"},
}
_DROPPED = {
    "description": "Messages that were left out of a conversation that is too long.",
    "schema": {"type": "integer"},
}
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


async def serve_document(request: Request) -> Response:
    state = state_of(request)
    document = _written(state.root_endpoints, state.v1_endpoints)
    return Response(document, media_type="application/json")


@cache
def _written(root: tuple[Endpoint, ...], v1: tuple[Endpoint, ...]) -> bytes:
    return json.dumps(openapi_document(root, v1)).encode("ascii")


def openapi_document(root: Sequence[Endpoint], v1: Sequence[Endpoint]) -> dict[str, Any]:
    """The document.

    Args:
        root: endpoints with whole addresses.
        v1: those that are served below `/v1` and below the project's prefix.

    Format: https://spec.openapis.org/oas/v3.1.1.html
    """
    schemas = _Schemas((*root, *v1))
    paths: dict[str, dict[str, object]] = {}
    for prefix, endpoints in (("", root), ("/v1", v1), (PROJECT_PREFIX, v1)):
        for endpoint in endpoints:
            path = prefix + endpoint.path
            operations = paths.setdefault(_PARAMETER.sub(r"{\1}", path), {})
            operations[endpoint.method.lower()] = _operation(endpoint, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edge_llama",
            "version": edge_llama.__version__,
            "description": "A null in a request means that the field is absent.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas.definitions, "securitySchemes": _SECURITY_SCHEMES},
    }


class _Schemas:
    """The JSON Schemas of all types; what has a name stands among the components."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        types = dict.fromkeys(kind for endpoint in endpoints for kind in _types(endpoint))
        inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
            (repr(kind), "validation", TypeAdapter(kind)) for kind in types
        ]
        self._schemas, rest = TypeAdapter.json_schemas(inputs, ref_template=_REF_TEMPLATE)
        found = rest.get("$defs", {})
        # pydantic leaves types there that only defaults are of.
        names = _named(list(self._schemas.values()))
        while more := _named([found[name] for name in names]) - names:
            names |= more
        self.definitions = {name: found[name] for name in sorted(names)}

    def of(self, kind: Any) -> JsonSchemaValue:
        return self._schemas[repr(kind), "validation"]


def _named(schemas: list[Any]) -> set[str]:
    """The components that they refer to."""
    return set(_REFERENCE.findall(json.dumps(schemas)))


def _types(endpoint: Endpoint) -> Iterator[Any]:
    for kind in (endpoint.body, endpoint.answer, endpoint.events, endpoint.error):
        if kind is not None:
            yield kind


def _operation(endpoint: Endpoint, path: str, schemas: _Schemas) -> dict[str, object]:
    name = re.sub(r"\W+", "_", endpoint.method.lower() + _PARAMETER.sub(r"\1", path))
    operation: dict[str, object] = {
        "summary": endpoint.summary,
        "operationId": name,
        "parameters": list(_parameters(endpoint, path)),
        "security": [] if is_public(path) else [{}, {"bearer": []}, {"x-api-key": []}],
        "responses": {"200": _answer(endpoint, schemas)}
        | {str(status): _error(status, endpoint, schemas) for status in _statuses(endpoint, path)},
    }
    if endpoint.body is not None:
        content = {"schema": schemas.of(endpoint.body), "example": endpoint.example}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _parameters(endpoint: Endpoint, path: str) -> Iterator[dict[str, object]]:
    for name in _PARAMETER.findall(path):
        schema = {"type": "string", "pattern": "^p-."} if name == "project" else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name in endpoint.query:
        yield {"name": name, "in": "query", "schema": {"type": "string"}}
    for name in endpoint.headers:
        yield {"name": name, "in": "header", "schema": {"type": "string"}}
    if path.startswith(PROJECT_PREFIX):
        yield {"name": "project_id", "in": "query", "schema": {"type": "integer"}}


def _answer(endpoint: Endpoint, schemas: _Schemas) -> dict[str, object]:
    content = {endpoint.media_type: {"schema": schemas.of(endpoint.answer)}}
    if endpoint.events is not None:
        content["text/event-stream"] = {"schema": _event(endpoint, schemas)}
    text = "The answer, with `stream` as events." if endpoint.events else "The answer."
    answer: dict[str, object] = {"description": text, "content": content}
    if endpoint.body is not None:
        headers = {IGNORED_HEADER: _IGNORED}
        if issubclass(endpoint.body, ConversationRequest):
            headers["X-Edge-Llama-Dropped-Messages"] = _DROPPED
        answer["headers"] = headers
    return answer


def _event(endpoint: Endpoint, schemas: _Schemas) -> JsonSchemaValue:
    """The schema of one event, in which OpenAPI 3.2 describes a stream too."""
    told = {"anyOf": [schemas.of(endpoint.events), schemas.of(endpoint.error)]}
    data: JsonSchemaValue = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": told,
    }
    if endpoint.last_data is not None:
        data = {"anyOf": [data, {"const": endpoint.last_data}]}
    return {
        "type": "object",
        "properties": {"event": {"type": "string"}, "data": data},
        "required": ["data"],
    }


def _statuses(endpoint: Endpoint, path: str) -> list[int]:
    statuses = {*endpoint.errors, 421}
    if not is_public(path):
        statuses |= {*_OF_EVERY_ADDRESS}
    if path.startswith(PROJECT_PREFIX):
        statuses |= {400, 404}
    return sorted(statuses)


def _error(status: int, endpoint: Endpoint, schemas: _Schemas) -> dict[str, object]:
    error: dict[str, object] = {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": schemas.of(endpoint.error)}},
    }
    if status in (429, 503):
        error["headers"] = {"Retry-After": _RETRY_AFTER}
    return error
