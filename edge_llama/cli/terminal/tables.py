"""Tables and facts: drawn on a terminal, plain aligned text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_llama.cli.terminal.printable import printable

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: above it.
        right: numbers stand at its right edge.
        fold: on a narrow terminal, it is this column that breaks into lines.
    """

    title: str
    right: bool = False
    fold: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print `rows` on stdout: no colours, no lines and nothing cut off when it is no terminal."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, rows)
    else:
        cells = [[column.title for column in columns], *rows]
        _print_aligned(cells, [column.right for column in columns])


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print pairs of a name and a value on stdout, one a line; values with lines stay aligned."""
    cells = []
    for name, value in facts:
        first, *others = map(printable, value.split("\n"))
        cells += [[name, first], *(["", other] for other in others)]
    if sys.stdout.isatty():
        _draw_facts(cells)
    else:
        _print_aligned(cells, [False, False])


def bar_mark() -> str:
    """What bars are drawn with: a block, if the terminal's encoding has it."""
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"


def print_json(data: Any) -> None:
    """Print `data` on stdout as indented JSON, in ASCII: a pipe may have any encoding."""
    import json

    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def _draw(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, len(GAP), 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.fold,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _draw_facts(cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for row in cells:
        grid.add_row(*map(Text, row))
    Console().print(grid)


def _print_aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    from rich.cells import cell_len

    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        line = []
        for cell, width, at_right in zip(row, widths, right, strict=True):
            space = " " * (width - cell_len(cell))
            line.append(space + cell if at_right else cell + space)
        sys.stdout.write(GAP.join(line).rstrip() + "\n")
