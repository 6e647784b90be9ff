from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from edge_llama.errors import WeightsError
from edge_llama.machine.cpus import Cpus
from edge_llama.planning.tuned.choice import TunedChoice
from edge_llama.planning.tuned.key import TuneKey
from edge_llama.planning.tuned.store import TuneStore, default_tune_store
from edge_llama.settings.engine import EngineSettings, StepCost
from tests.tune.tuning import Q8_0, SHAPE

CPUS = Cpus(logical=8, allowed=8, quota=None, physical=8, performance=4)
KEY = TuneKey.of(SHAPE, CPUS)
CHOICE = TunedChoice(
    candidate=Q8_0,
    profile="chat",
    score=1.25,
    step_costs=(StepCost(1, 1, 0.1), StepCost(64, 3064, 0.5)),
    tuned_at=datetime(2024, 7, 23, 12, tzinfo=timezone.utc),
)


@pytest.fixture
def store(tmp_path: Path) -> TuneStore:
    return TuneStore(tmp_path / "tune")


def test_what_is_saved_is_found(store: TuneStore) -> None:
    assert store.find(KEY) is None
    path = store.save(KEY, CHOICE)
    assert store.find(KEY) == CHOICE
    store.save(KEY, replace(CHOICE, profile="rag"))
    found = store.find(KEY)
    assert found is not None
    assert found.profile == "rag"
    assert list(store.root.iterdir()) == [path]


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": "another"},
        {"cpus": 4},
        {"quota": 2.0},
        {"llama_cpp": "0.0.1"},
        {"quantization": "Q8_0"},
        {"layers": 16},
    ],
    ids=str,
)
def test_it_is_for_this_machine_and_model_only(store: TuneStore, change: dict[str, Any]) -> None:
    store.save(KEY, CHOICE)
    assert store.find(replace(KEY, **change)) is None


def test_models_of_one_shape_share_it() -> None:
    assert TuneKey.of(replace(SHAPE, name="a finetune"), CPUS) == KEY
    assert TuneKey.of(replace(SHAPE, architecture="llama"), CPUS) == KEY


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": "\xff"}'])
def test_a_damaged_file_is_ignored_with_a_warning(
    store: TuneStore, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = store.save(KEY, CHOICE)
    path.write_bytes(content)
    assert store.find(KEY) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(path) in record.getMessage()


def test_a_file_of_another_machine_is_ignored_with_a_warning(
    store: TuneStore, caplog: pytest.LogCaptureFixture
) -> None:
    path = store.save(KEY, CHOICE)
    other = replace(KEY, cpu="another")
    path.rename(store.root / other.filename)
    assert store.find(other) is None
    assert "another machine" in caplog.text


def test_a_file_of_a_later_format_is_ignored(store: TuneStore) -> None:
    path = store.save(KEY, CHOICE)
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    assert store.find(KEY) is None


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "tune").write_text("a file")
    with pytest.raises(WeightsError, match="EDGE_LLAMA_HOME"):
        TuneStore(tmp_path / "tune").save(KEY, CHOICE)


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGE_LLAMA_HOME", str(tmp_path))
    assert default_tune_store().root == tmp_path / "tune"
    monkeypatch.delenv("EDGE_LLAMA_HOME")
    folder = platformdirs.user_data_path("edge-llama", appauthor=False)
    assert default_tune_store().root == folder / "tune"


def test_a_choice_brings_its_costs() -> None:
    settings = CHOICE.apply(EngineSettings(model="m.gguf", threads=1))
    assert settings.step_costs == CHOICE.step_costs
    assert (settings.threads, settings.kv_type) == (1, "q8_0")
    assert str(CHOICE).startswith("Tuned for this machine (profile chat): flash attention on")
