"""What a request held is free at once: Python looks for cycles rarely, and a body may have 2 MB."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp

from edge_llama.errors import InvalidValue
from tests.api.asgi_call import AsgiCall
from tests.api.conftest import app_for
from tests.fakes import FakeEngine, Script

CHAT: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
LONG = {**CHAT, "user": "x" * 20_000}
"""Long enough to be parsed in a thread."""

WRONG: list[dict[str, Any]] = [{"temperature": "hot"}, {"model": "unknown"}, {"messages": []}]


@pytest.fixture(scope="module", autouse=True)
def _only_what_is_new() -> Iterator[None]:
    """Looking at all that earlier tests imported and made takes most of a second each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@contextmanager
def no_cycles() -> Iterator[None]:
    """What is done within leaves no frame of a call to the garbage collector."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        frames = [str(each) for each in gc.garbage if type(each).__name__ in ("frame", "traceback")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert frames == []


async def call(app: ASGIApp, body: dict[str, Any], path: str = "/v1/chat/completions") -> int:
    asked = AsgiCall(app, path, body=[json.dumps(body).encode()])
    await asked.finished()
    assert asked.status is not None
    return asked.status


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/x"])
@pytest.mark.parametrize("asked", [CHAT, LONG])
async def test_of_a_refused_request(engine: FakeEngine, path: str, asked: dict[str, Any]) -> None:
    app = app_for(engine)
    for _ in range(2):  # the first request makes what stays
        with no_cycles():
            for wrong in WRONG:
                assert await call(app, {**asked, **wrong}, path) in (400, 404)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", [Script(), Script(die=True), Script(refuse=InvalidValue("no"))])
async def test_of_a_request_that_was_run(stream: bool, script: Script) -> None:
    app = app_for(FakeEngine(script))
    for _ in range(2):
        with no_cycles():
            await call(app, {**LONG, "stream": stream})


@pytest.mark.parametrize("stream", [False, True])
async def test_of_a_client_that_left(stream: bool) -> None:
    app = app_for(FakeEngine(Script(hang=True)))
    for _ in range(2):
        with no_cycles():
            asked = AsgiCall(app, body=[json.dumps({**LONG, "stream": stream}).encode()])
            asked.disconnect()
            await asked.finished()
