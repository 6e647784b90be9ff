"""A picture file, drawn with matplotlib, which is not installed by default."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from edge_llama.errors import SettingsError

SUFFIXES = (".png", ".svg")


class Picture:
    """A file that will hold a figure.

    Args:
        path: ends in .png or .svg.

    Raises:
        SettingsError: it ends in something else, or matplotlib is not installed.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise SettingsError(f"--plot must be a file that ends in .png or .svg, not {path}.")
        self._path = path
        try:
            self._figure_class: Any = importlib.import_module("matplotlib.figure").Figure
        except ImportError:
            raise SettingsError(
                "--plot needs matplotlib. Install it with: pip install 'edge-llama[plot]'"
            ) from None

    def figure(self, width: float, height: float) -> Any:
        """An empty matplotlib figure of this size in inches."""
        return self._figure_class(figsize=(width, height), layout="constrained")

    def save(self, figure: Any) -> None:
        """Write the file.

        Raises:
            SettingsError: it cannot be written.
        """
        try:
            figure.savefig(self._path, dpi=120)
        except OSError as error:
            raise SettingsError(
                f"{self._path} cannot be written: {error.strerror or error}."
            ) from error
