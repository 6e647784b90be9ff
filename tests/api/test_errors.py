from __future__ import annotations

import json
from typing import Any, NoReturn

import httpx
import pytest

from edge_llama.api.endpoint import Endpoint
from edge_llama.api.endpoints import V1_ENDPOINTS
from edge_llama.api.errors import (
    BodyTooLarge,
    HostNotAllowed,
    InvalidApiKey,
    InvalidJson,
    ServerStopping,
    TooManyRequests,
    UnsupportedMediaType,
    error_response,
)
from edge_llama.engine.client.async_engine import EngineState
from edge_llama.errors import (
    ContextLengthExceeded,
    EngineDied,
    EngineError,
    EngineKilled,
    EngineStartError,
    EngineUnavailable,
    InvalidValue,
    ModelFileError,
    ModelNotFound,
    RequestCrashesEngine,
    RequestTimedOut,
    TemplateError,
    UnsupportedParameter,
)
from tests.api.conftest import client_for
from tests.fakes import FakeEngine, Script

ASKING = [endpoint for endpoint in V1_ENDPOINTS if endpoint.body is not None]
"""Endpoints that need an engine."""


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (InvalidJson("x"), 400, "invalid_request_error", "invalid_json"),
        (InvalidValue("x"), 400, "invalid_request_error", "invalid_value"),
        (UnsupportedParameter("x"), 400, "invalid_request_error", "unsupported_parameter"),
        (ContextLengthExceeded(8, 9), 400, "invalid_request_error", "context_length_exceeded"),
        (TemplateError("x"), 400, "invalid_request_error", "invalid_value"),
        (InvalidApiKey("x"), 401, "authentication_error", "invalid_api_key"),
        (ModelNotFound("x"), 404, "invalid_request_error", "model_not_found"),
        (BodyTooLarge("x"), 413, "invalid_request_error", None),
        (UnsupportedMediaType("x"), 415, "invalid_request_error", None),
        (EngineUnavailable("x"), 503, "server_error", None),
        (EngineDied("x"), 503, "server_error", None),
        (RequestTimedOut("x"), 503, "server_error", "timeout"),
        (RequestCrashesEngine("x"), 400, "invalid_request_error", "request_crashes_engine"),
        (TooManyRequests("x", retry_after=9), 429, "rate_limit_error", "rate_limit_exceeded"),
        (HostNotAllowed("x"), 421, "invalid_request_error", None),
        (ServerStopping("x"), 503, "server_error", None),
        (EngineStartError("/secret/path"), 500, "server_error", None),
        (EngineKilled("/secret/path"), 503, "server_error", None),
        (EngineError("/secret/path"), 500, "server_error", None),
        (ModelFileError("/secret/path"), 500, "server_error", None),
        (RuntimeError("/secret/path"), 500, "server_error", None),
    ],
)
def test_the_table(error: Exception, status: int, kind: str, code: str | None) -> None:
    response = error_response(error)
    body = json.loads(bytes(response.body))
    assert response.status_code == status
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert (body["error"]["type"], body["error"]["code"]) == (kind, code)
    if "/secret" in str(error):
        assert b"secret" not in response.body
        assert "log says why" in body["error"]["message"]
    else:
        assert body["error"]["message"] == str(error)


@pytest.mark.parametrize(("wait", "told"), [(0.2, "1"), (3.4, "4"), (9999, "120")])
def test_retry_after(wait: float, told: str) -> None:
    assert error_response(EngineUnavailable("x", retry_after=wait)).headers["Retry-After"] == told
    assert error_response(EngineDied("x")).headers["Retry-After"] == "1"


def test_a_bug_is_not_to_be_retried() -> None:
    assert error_response(RuntimeError("x")).headers["x-should-retry"] == "false"


async def test_unknown_routes_and_methods_have_the_same_shape(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/nothing")
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert "GET /v1/models and POST /v1/chat/completions" in response.json()["error"]["message"]
    response = await client.get("/v1/chat/completions")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert response.json()["error"]["message"] == "GET is not possible here. Use POST."
    assert (await client.delete("/v1/models")).headers["Allow"] in ("GET, HEAD", "HEAD, GET")
    assert (await client.get("/v1/model")).status_code == 404


async def test_a_long_name_is_not_sent_back(client: httpx.AsyncClient) -> None:
    message = {"role": "user", "content": "Hi"}
    arguments = {"x" * 1_000_000 + "-": 1}
    body = {"model": "demo", "messages": [message], "chat_template_kwargs": arguments}
    response = await client.post("/v1/chat/completions", json=body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert error["param"].startswith("chat_template_kwargs.xxx")
    assert len(error["param"]) == 200
    assert error["message"].endswith("is no variable that a request can set. Leave it out.")
    assert len(error["message"]) == 1000


async def test_a_bug_leaks_nothing() -> None:
    class Broken(FakeEngine):
        async def submit(self, request: Any) -> NoReturn:
            raise RuntimeError("/secret/path of a bug")

    body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
    response = await client_for(Broken()).post("/v1/chat/completions", json=body)
    assert response.status_code == 500
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-request-id"]
    assert "secret" not in response.text
    assert "Traceback" not in response.text


async def test_a_refusal_of_the_engine_is_passed_on() -> None:
    client = client_for(FakeEngine(Script(refuse=ContextLengthExceeded(2048, 5000))))
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "This model's maximum context length is 2048 tokens" in error["message"]
    assert "5000" in error["message"]


@pytest.mark.parametrize("endpoint", ASKING, ids=lambda endpoint: endpoint.path)
@pytest.mark.parametrize("loaded", [True, False])
async def test_an_engine_that_is_away_is_503(endpoint: Endpoint, loaded: bool) -> None:
    engine = FakeEngine(state=EngineState.READY if loaded else EngineState.RESTARTING)
    client = client_for(engine)
    if loaded:
        await client.post(f"/v1{endpoint.path}", json=endpoint.example)
        engine.state = EngineState.RESTARTING
    response = await client.post(f"/v1{endpoint.path}", json=endpoint.example)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json()["error"]["type"] in ("server_error", "overloaded_error")


async def test_a_wrong_method_is_told_the_right_one() -> None:
    response = await client_for(FakeEngine()).put("/v1/chat/completions", json={})
    assert response.status_code == 405
    message = response.json()["error"]["message"]
    assert message == f"PUT is not possible here. Use {response.headers['allow']}."
