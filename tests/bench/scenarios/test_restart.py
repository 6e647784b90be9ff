from __future__ import annotations

from pathlib import Path

import pytest

from edge_llama.bench.load.load import Load
from edge_llama.bench.load.stream import Stream
from edge_llama.bench.scenarios import keeping, restart
from edge_llama.bench.scenarios.keeping import GAP, THROUGHPUT
from edge_llama.bench.scenarios.restart import measure_restart


def test_tokens_are_counted_that_were_read_or_written() -> None:
    streams = [Stream(100, 20, 2, 2.0, (4.0, 4.5)), Stream(100, None, 3, 4.5, (8.0, 8.2, 8.5))]
    assert keeping._throughput(streams) == pytest.approx((82 + 103) / 6.5)


async def test_a_server_is_restarted_and_two_are_asked_in_turn(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PAIRS_SECONDS", 0.0)
    # A server that knows how fast it computes does not wait for a disk that is slower today.
    monkeypatch.setattr(restart, "WARM_UP", Load(()))
    steps: list[str] = []
    result = await measure_restart(tiny_model, 1, 1, steps.append, lambda settings: settings)
    assert steps == [
        "restart: server 1 of 2",
        "restart: server 2 of 2",
        "restart: kept and not kept, pair 1",
        "restart: kept and not kept, pair 2",
    ]
    figures = {quantity: row["server"] for quantity, row in result.figures.items()}
    assert figures[restart.CACHED].median > 0.9 * restart.PROMPT_TOKENS
    assert 0.9 < figures[restart.DISK_SHARE].median < 1.5
    assert figures[restart.SPEEDUP].median > 0
    assert len(figures[THROUGHPUT].runs) == len(figures[GAP].runs) == 2
    assert min(figures[GAP].runs) > 0
