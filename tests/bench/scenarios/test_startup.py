from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_llama.bench.scenarios import startup
from edge_llama.bench.scenarios.startup import measure_startup
from edge_llama.errors import EngineStartError


async def test_a_server_is_started_and_looked_at(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(startup, "IDLE_SECONDS", 0.2)
    steps: list[str] = []
    for _ in range(5):
        result = await measure_startup(tiny_model, 1, 1, steps.append)
        values = {quantity.key: row["server"].median for quantity, row in result.figures.items()}
        if values["import"] < values["help"]:  # of one run each on a busy machine, not always
            break
    assert set(steps) == {"startup: run 1 of 1"}
    assert 0 < values["import"] < values["help"]
    assert 0 < values["health"] <= values["first_token"]
    assert values["idle_cpu"] >= 0
    if sys.platform == "linux":
        assert values["server_memory"] > 20_000_000
        assert values["engine_memory"] > 20_000_000


async def test_a_server_that_ends_is_reported(tmp_path: Path) -> None:
    with pytest.raises(EngineStartError, match="ended with code"):
        await measure_startup(tmp_path / "missing.gguf", 1, 1, lambda _: None)
