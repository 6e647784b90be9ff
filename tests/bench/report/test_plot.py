from __future__ import annotations

from pathlib import Path

import pytest

from edge_llama.bench.report.picture import Picture
from edge_llama.bench.report.plot import draw_report
from tests.bench.report.test_report import DECODED, ESTIMATED, STALLED, report


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_all_figures_are_drawn(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"figures.{suffix}"
    draw_report(report(DECODED, STALLED, ESTIMATED), Picture(path))
    start = b"\x89PNG" if suffix == "png" else b"<?xml"
    assert path.read_bytes().startswith(start)
