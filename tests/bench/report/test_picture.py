from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from edge_llama.bench.report.picture import Picture
from edge_llama.errors import SettingsError


class FakeFigure:
    """What is used of matplotlib's."""

    def __init__(self, figsize: tuple[float, float], layout: str) -> None:
        self.size = figsize

    def savefig(self, path: Path, dpi: int) -> None:
        path.write_text(f"{self.size}")


@pytest.fixture
def matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("matplotlib.figure")
    module.Figure = FakeFigure
    monkeypatch.setitem(sys.modules, "matplotlib.figure", module)


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("name", ["a.png", "b.SVG"])
def test_a_figure_is_saved(tmp_path: Path, name: str) -> None:
    picture = Picture(tmp_path / name)
    picture.save(picture.figure(3, 4))
    assert (tmp_path / name).read_text() == "(3, 4)"


@pytest.mark.usefixtures("matplotlib")
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    picture = Picture(tmp_path / "no" / "folder.png")
    with pytest.raises(SettingsError, match="cannot be written"):
        picture.save(picture.figure(3, 4))


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("name", ["figures", "figures.pdf", "png"])
def test_other_files_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"\.png or \.svg"):
        Picture(Path(name))


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"pip install 'edge-llama\[plot\]'"):
        Picture(Path("figures.png"))
