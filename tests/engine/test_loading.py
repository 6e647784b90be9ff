from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_llama.config import EngineSettings
from edge_llama.engine import binding, loading
from edge_llama.machine.cpus import Cpus

HYBRID = Cpus(logical=24, allowed=24, quota=None, physical=16, performance=8)


@pytest.mark.parametrize(
    ("threads", "threads_batch", "expected"),
    [
        (None, None, (8, 16)),
        (3, None, (3, 3)),
        (None, 5, (8, 5)),
        (3, 5, (3, 5)),
    ],
)
def test_threads_are_chosen_unless_they_are_given(
    monkeypatch: pytest.MonkeyPatch,
    tiny_gguf: Path,
    threads: int | None,
    threads_batch: int | None,
    expected: tuple[int, int],
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(loading, "read_cpus", lambda: HYBRID)
    monkeypatch.setattr(binding, "Context", lambda model, **options: asked.update(options))
    settings = EngineSettings(
        model=str(tiny_gguf), ctx_size=256, threads=threads, threads_batch=threads_batch
    )
    model = loading.open_model(settings)
    loading.open_context(settings, model)
    model.close()
    assert (asked["threads"], asked["threads_batch"]) == expected
