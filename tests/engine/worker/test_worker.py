from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from edge_llama.engine.protocol.wire import Event, LoadFailed, Ready
from edge_llama.engine.worker import worker
from edge_llama.engine.worker.loading import LoadedEngine
from edge_llama.errors import ModelFileError
from edge_llama.settings.engine import EngineSettings
from tests.gguf_factory import write_tiny_gguf


class Pipe:
    def __init__(self) -> None:
        self.sent: list[Event] = []

    def send(self, event: Event) -> None:
        self.sent.append(event)


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", n_vocab=300, n_layer=1, n_embd=32)
    return EngineSettings(model=str(path), threads=1, ctx_size=256)


def load(settings: EngineSettings) -> tuple[list[Event], object]:
    pipe: Any = Pipe()
    return pipe.sent, worker._load(settings, pipe)


def test_it_is_ready_once_a_token_was_computed(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    try_out = LoadedEngine.try_out

    def watched(engine: LoadedEngine) -> None:
        try_out(engine)
        computed.append(engine)

    monkeypatch.setattr(LoadedEngine, "try_out", watched)
    [event], loaded = load(settings)
    assert isinstance(event, Ready)
    assert loaded is not None
    assert len(computed) == 1


def test_a_model_that_computes_nothing_is_never_ready(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(engine: LoadedEngine) -> None:
        raise ModelFileError("It cannot be run.")

    monkeypatch.setattr(LoadedEngine, "try_out", fail)
    assert load(settings) == ([LoadFailed("It cannot be run.")], None)


@pytest.mark.parametrize("name", ["threads", "command"])
def test_a_system_without_threads_is_told_with_its_limits(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    if name == "threads":
        monkeypatch.setattr(worker, "threads_start", lambda n: False)
    else:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        monkeypatch.setattr(worker, "threads_start", lambda n: True)
    monkeypatch.setattr(worker, "told_limits", lambda: "20 processes (`ulimit -u`)")
    [event], loaded = load(settings)
    assert loaded is None
    assert isinstance(event, LoadFailed)
    assert "too few threads. The limits are 20 processes (`ulimit -u`)." in event.message
    assert "`threads`" in event.message
