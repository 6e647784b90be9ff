from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_llama.machine.cpus import read_cpus
from edge_llama.planning.tuned import bandwidth
from edge_llama.planning.tuned.bandwidth import NAME, kept_bandwidth


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was measured; each time less."""
    figures: list[float] = []

    def measure(threads: int) -> float:
        figures.append(20e9 / 2 ** len(figures))
        return figures[-1]

    monkeypatch.setattr(bandwidth, "_measure", measure)
    return figures


def test_it_is_measured_once(tmp_path: Path, measured: list[float]) -> None:
    assert [kept_bandwidth(tmp_path / "tune") for _ in range(3)] == [20e9] * 3
    assert measured == [20e9]


def test_another_machine_is_measured_anew(
    tmp_path: Path, measured: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_bandwidth(tmp_path)
    smaller = replace(read_cpus(), quota=0.5)
    monkeypatch.setattr(bandwidth, "read_cpus", lambda: smaller)
    assert kept_bandwidth(tmp_path) == 10e9


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_damaged_file_is_replaced(tmp_path: Path, measured: list[float], content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert kept_bandwidth(tmp_path) == kept_bandwidth(tmp_path) == 20e9


def test_where_nothing_can_be_written_it_is_measured_each_time(
    tmp_path: Path, measured: list[float]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert kept_bandwidth(tmp_path / "file" / "tune") == 20e9
    assert kept_bandwidth(tmp_path / "file" / "tune") == 10e9
