"""Requests made from /openapi.json: no answer is a failure, and all are as documented."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import Receive, Scope, Send

from edge_llama.api.endpoint import Endpoint
from edge_llama.api.endpoints import ROOT_ENDPOINTS, V1_ENDPOINTS
from edge_llama.api.openapi import openapi_document
from edge_llama.api.routes import PROJECT_PREFIX
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import app_for, client_for
from tests.effort import PATIENCE
from tests.fakes import FakeEngine, Script

DOCUMENT = openapi_document(ROOT_ENDPOINTS, V1_ENDPOINTS)


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """The document with models that are served, and answers without further fields."""
    document = copy.deepcopy(document)
    served = {"enum": ["demo", "gpt-4"]}
    for name, schema in document["components"]["schemas"].items():
        properties = schema.get("properties", {})
        if name.endswith("Request"):
            properties |= {"model": served} if "model" in properties else {}
        elif properties:
            schema.setdefault("additionalProperties", False)
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                if parameter["name"] in ("model", "id"):
                    parameter["schema"] = served
    return document


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """A new server for each request: each has an event loop of its own."""
    if scope["type"] == "http":
        await app_for(FakeEngine(), ServerSettings(allowed_hosts=("*",)))(scope, receive, send)
    else:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


STRICT = strict(DOCUMENT)
PREFIXES = (("", ROOT_ENDPOINTS), ("/v1", V1_ENDPOINTS), (PROJECT_PREFIX, V1_ENDPOINTS))
WITH_EXAMPLES = [endpoint for endpoint in V1_ENDPOINTS if endpoint.body is not None]
FUNCTION = {"name": "add", "parameters": {"type": "object"}}
STREAMING = [endpoint for endpoint in V1_ENDPOINTS if endpoint.events is not None]


def check(value: Any, shape: dict[str, Any]) -> None:
    schema = shape | {"components": STRICT["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


# All of a stream is read: one that is left is cancelled, now and then with the test itself.
READ_ALL = SchemathesisConfig.from_dict(
    {"max-stream-events": 1_000_000, "request-timeout": PATIENCE}
)
WHOLE_SCHEMA = schemathesis.openapi.from_dict(STRICT, config=READ_ALL)
WHOLE_SCHEMA.app = app
# Of what is served twice, one route is enough.
SCHEMA = WHOLE_SCHEMA.exclude(
    path_regex="^/project/.*(?<!/chat/completions)$|^/v1/(de)?tokenize.*$"
)


@SCHEMA.parametrize()
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_documented(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
        ]
    )


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    """All objects of the document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from schemas_in(entry)


def test_bounds_have_json_schemas_names() -> None:
    assert not [each for each in schemas_in(DOCUMENT) if each.keys() & {"ge", "gt", "le", "lt"}]


def test_every_component_is_used() -> None:
    used = {each["$ref"].rpartition("/")[2] for each in schemas_in(DOCUMENT) if "$ref" in each}
    assert used == DOCUMENT["components"]["schemas"].keys()


@pytest.mark.parametrize("endpoint", WITH_EXAMPLES, ids=lambda endpoint: endpoint.path)
async def test_what_may_be_absent_may_be_null(
    client: httpx.AsyncClient, endpoint: Endpoint
) -> None:
    assert endpoint.body is not None
    schema = DOCUMENT["components"]["schemas"][endpoint.body.__name__]
    optional = schema["properties"].keys() - set(schema.get("required", ()))
    body = dict.fromkeys(optional) | dict(endpoint.example or {})
    check(body, schema)
    assert (await client.post(f"/v1{endpoint.path}", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("message", "valid"),
    [
        ({"role": "user", "content": "Hi"}, True),
        ({"role": "user", "content": []}, False),
        ({"role": "user", "content": None}, False),
        ({"role": "user"}, False),
        ({"role": "assistant"}, True),
        ({"role": "assistant", "content": None, "tool_calls": None}, True),
        ({"role": "tool", "content": "5", "tool_call_id": "a"}, True),
        ({"role": "tool", "content": "5"}, False),
        ({"role": "user", "content": "a\0b"}, False),
    ],
)
async def test_messages_are_documented_as_they_are_taken(
    client: httpx.AsyncClient, message: dict[str, Any], valid: bool
) -> None:
    body = {"model": "demo", "messages": [message]}
    schema = DOCUMENT["components"]["schemas"]["ChatCompletionRequest"]
    shape = schema | {"components": DOCUMENT["components"]}
    assert jsonschema.Draft202012Validator(shape).is_valid(body) is valid
    status = (await client.post("/v1/chat/completions", json=body)).status_code
    assert status == (200 if valid else 400)


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [
        ("tools", [{"type": "function", "function": FUNCTION}], True),
        ("tools", [{"function": FUNCTION | {"description": None, "strict": None}}], True),
        ("tools", [{"type": "function", "function": {"parameters": {}}}], False),
        ("tools", [{"type": "function", "function": {"name": "a b"}}], False),
        ("tools", [{"type": "function", "function": "add"}], False),
        ("functions", [FUNCTION], True),
        ("functions", [{}], False),
        ("tool_choice", "none", True),
        ("tool_choice", "all", False),
        ("logit_bias", {"5": None}, True),
        ("logit_bias", {"5": 101}, False),
        ("chat_template_kwargs", {"builtin_tools": ["brave_search"]}, True),
        ("chat_template_kwargs", {"builtin_tools": ["search"]}, False),
        ("chat_template_kwargs", {"thinking": True}, True),
        ("chat_template_kwargs", {"messages": []}, False),
        ("chat_template_kwargs", {"a b": 1}, False),
    ],
)
async def test_fields_are_documented_as_they_are_taken(
    client: httpx.AsyncClient, field: str, value: Any, valid: bool
) -> None:
    body = dict(WITH_EXAMPLES[0].example or {}) | {field: value}
    shape = DOCUMENT["components"]["schemas"]["ChatCompletionRequest"]
    shape = shape | {"components": DOCUMENT["components"]}
    assert jsonschema.Draft202012Validator(shape).is_valid(body) is valid
    status = (await client.post("/v1/chat/completions", json=body)).status_code
    assert status == (200 if valid else 400)


async def test_the_document_is_served(client: httpx.AsyncClient) -> None:
    response = await client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == json.loads(json.dumps(DOCUMENT))


def test_every_route_is_documented() -> None:
    routes = {
        f"{method} {prefix}{path}"
        for prefix, endpoints in PREFIXES
        for path, method in ((endpoint.path, endpoint.method) for endpoint in endpoints)
    }
    documented = {
        f"{method.upper()} {path}" for path, found in DOCUMENT["paths"].items() for method in found
    }
    assert documented == {route.replace(":path}", "}") for route in routes}


@pytest.mark.parametrize("endpoint", WITH_EXAMPLES, ids=lambda endpoint: endpoint.path)
async def test_examples_are_answered_as_documented(
    client: httpx.AsyncClient, endpoint: Endpoint
) -> None:
    response = await client.post(f"/v1{endpoint.path}", json=endpoint.example)
    assert response.status_code == 200
    answer = DOCUMENT["paths"][f"/v1{endpoint.path}"]["post"]["responses"]["200"]["content"]
    check(response.json(), answer["application/json"]["schema"])


CALL = ['{"name": "add", ', '"parameters": {"a": 1}}']
TOOLS = {
    "/chat/completions": {"type": "function", "function": FUNCTION},
    "/responses": {"type": "function"} | FUNCTION,
    "/messages": {"name": "add", "input_schema": {"type": "object"}},
}


@pytest.mark.parametrize("path", TOOLS)
async def test_calls_are_as_documented(path: str) -> None:
    client = client_for(FakeEngine(Script(CALL)))
    [endpoint] = (endpoint for endpoint in V1_ENDPOINTS if endpoint.path == path)
    body = dict(endpoint.example or {}) | {"tools": [TOOLS[path]]}
    answer = DOCUMENT["paths"][f"/v1{path}"]["post"]["responses"]["200"]["content"]
    whole = await client.post(f"/v1{path}", json=body)
    assert '"add"' in whole.text
    check(whole.json(), answer["application/json"]["schema"])
    streamed = await client.post(f"/v1{path}", json=body | {"stream": True})
    data = answer["text/event-stream"]["schema"]["properties"]["data"]
    shape = data["contentSchema"] if "contentSchema" in data else data["anyOf"][0]["contentSchema"]
    for event in re.findall("^data: ({.*})$", streamed.text, re.M):
        check(json.loads(event), shape)


@pytest.mark.parametrize("endpoint", STREAMING, ids=lambda endpoint: endpoint.path)
@pytest.mark.parametrize("die", [False, True])
async def test_events_are_as_documented(endpoint: Endpoint, die: bool) -> None:
    client = client_for(FakeEngine(Script(die=die)))
    body = dict(endpoint.example or {}) | {"stream": True}
    response = await client.post(f"/v1{endpoint.path}", json=body)
    answer = DOCUMENT["paths"][f"/v1{endpoint.path}"]["post"]["responses"]["200"]["content"]
    data = answer["text/event-stream"]["schema"]["properties"]["data"]
    shape = data["contentSchema"] if "contentSchema" in data else data["anyOf"][0]["contentSchema"]
    events = re.findall("^data: (.*)$", response.text, re.M)
    assert len(events) > 3
    if endpoint.last_data is not None and not die:
        assert events.pop() == endpoint.last_data
    for event in events:
        check(json.loads(event), shape)
