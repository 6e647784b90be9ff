from __future__ import annotations

import asyncio
import signal

import pytest

from edge_llama.cli.serve.startup import Startup, url_of
from edge_llama.errors import EdgeLlamaError, EngineStartError, EngineUnavailable
from edge_llama.pool.model_pool import ModelPool
from edge_llama.pool.pooled_model import PooledModel
from tests.fakes import FakeEngine
from tests.virtual_time import in_virtual_time


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that were raised."""
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    return raised


async def watch(error: Exception | None = None) -> tuple[Startup, list[str]]:
    urls: list[str] = []
    model = PooledModel("demo", lambda: FakeEngine(failure=error))
    pool = ModelPool([model])
    startup = Startup(lambda: pool.use(model), urls.append)
    startup.watch("127.0.0.1", 8000)
    assert urls == []
    await asyncio.sleep(0.05)
    await pool.close()
    return startup, urls


@in_virtual_time
async def test_the_url_is_told_once_the_model_answers(signals: list[int]) -> None:
    startup, urls = await watch()
    assert (urls, signals) == (["http://127.0.0.1:8000"], [])
    startup.raise_failure()


@in_virtual_time
async def test_a_stdout_that_cannot_be_written_is_one_line_and_the_server_goes_on(
    signals: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(url: str) -> None:
        raise OSError(28, "No space left on device")

    model = PooledModel("demo", FakeEngine)
    pool = ModelPool([model])
    startup = Startup(lambda: pool.use(model), fail)
    startup.watch("127.0.0.1", 8000)
    await asyncio.sleep(0.05)
    await pool.close()
    startup.raise_failure()
    [record] = caplog.records
    assert "No space left on device" in record.getMessage()
    assert (record.exc_info, signals) == (None, [])


@in_virtual_time
async def test_a_model_that_fails_ends_the_server(signals: list[int]) -> None:
    startup, urls = await watch(EngineStartError("no"))
    assert (urls, signals) == ([], [signal.SIGINT])
    with pytest.raises(EdgeLlamaError, match="no"):
        startup.raise_failure()


@in_virtual_time
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
