from __future__ import annotations

import asyncio
import signal
from typing import cast

import pytest

from edge_llama.chat.model import ChatModel
from edge_llama.cli.startup import Startup, url_of
from edge_llama.errors import EdgeLlamaError, EngineStartError, EngineUnavailable


class FakeModel:
    """Becomes ready, or fails, after a turn of the event loop."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def ready(self) -> None:
        await asyncio.sleep(0)
        if self.error:
            raise self.error


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that were raised."""
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    return raised


async def watch(error: Exception | None = None) -> tuple[Startup, list[str]]:
    urls: list[str] = []
    startup = Startup(cast("ChatModel", FakeModel(error)), urls.append)
    startup.watch("127.0.0.1", 8000)
    assert urls == []
    await asyncio.sleep(0.01)
    return startup, urls


async def test_the_url_is_told_once_the_model_answers(signals: list[int]) -> None:
    startup, urls = await watch()
    assert (urls, signals) == (["http://127.0.0.1:8000"], [])
    startup.raise_failure()


async def test_a_model_that_fails_ends_the_server(signals: list[int]) -> None:
    startup, urls = await watch(EngineStartError("no"))
    assert (urls, signals) == ([], [signal.SIGINT])
    with pytest.raises(EdgeLlamaError, match="no"):
        startup.raise_failure()


async def test_a_server_that_is_stopped_while_loading_is_no_failure(signals: list[int]) -> None:
    startup, urls = await watch(EngineUnavailable("The engine was stopped."))
    assert (urls, signals) == ([], [])
    startup.raise_failure()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fe80::1", "http://[fe80::1]:8000"),
    ],
)
def test_the_url_can_be_opened_from_this_machine(host: str, url: str) -> None:
    assert url_of(host, 8000) == url
