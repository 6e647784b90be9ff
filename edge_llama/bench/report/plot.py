"""The figures as a picture, a panel for each scenario's quantities."""

from __future__ import annotations

from typing import Any

from edge_llama.bench.report.picture import Picture
from edge_llama.bench.report.report import Report
from edge_llama.bench.scenarios.comparison import Result
from edge_llama.bench.scenarios.quantity import Figure, Quantity

COLUMNS = 3
PANEL_INCHES = (4.2, 1.5)
FEWEST_BARS = 3
ERROR_COLOUR = "#c0c0c0"
COLOURS = {
    "defaults": "#5c5c5c",
    "raw": "#8c8c8c",
    "engine": "#7fb3d5",
    "server": "#1f6f9f",
    "url": "#d5803a",
    "estimate": "#1f6f9f",
}


def draw_report(report: Report, picture: Picture) -> None:
    """Draw the medians as bars, with a line from the lowest to the highest run.

    Raises:
        SettingsError: the file cannot be written.
    """
    panels = [
        (result, quantity, row)
        for result in report.results
        for quantity, row in result.figures.items()
        if row
    ]
    n_rows = -(-len(panels) // COLUMNS)
    size = (COLUMNS * PANEL_INCHES[0], n_rows * PANEL_INCHES[1] + 0.8)
    figure = picture.figure(*size)
    figure.suptitle(f"{report.model}\n{report.machine}", fontsize=9)
    axes = figure.subplots(n_rows, COLUMNS, squeeze=False).flat
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (result, quantity, row) in zip(axes, panels, strict=False):
        _draw_bars(axis, result, quantity, row)
    picture.save(figure)


def _draw_bars(axis: Any, result: Result, quantity: Quantity, row: dict[str, Figure]) -> None:
    names, figures = list(row), list(row.values())
    medians = [figure.median for figure in figures]
    below = [figure.median - min(figure.runs) for figure in figures]
    above = [max(figure.runs) - figure.median for figure in figures]
    colours = [COLOURS[name] for name in names]
    bars = axis.barh(
        names, medians, xerr=[below, above], color=colours, capsize=2, ecolor=ERROR_COLOUR
    )
    axis.bar_label(
        bars, [quantity.unit.format(value) for value in medians], fontsize=7, label_type="center"
    )
    axis.set_ylim(max(len(names), FEWEST_BARS) - 0.5, -0.5)
    axis.set_title(f"{result.name}: {quantity.title}", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.set_xticks([])
    axis.spines[["top", "right", "bottom"]].set_visible(False)
