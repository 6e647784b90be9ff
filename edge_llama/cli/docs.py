"""`edge-llama docs`: the manual in the terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated

import typer

from edge_llama.cli.completion import complete_topic

WIDEST = 100
"""Columns of a line of text; longer ones are hard to read."""

_LINK_TO_PAGE = re.compile(r"\[([^\]]+)\]\(([a-z-]+)\.md(?:#[a-z0-9_-]+)?\)")


def docs(
    topic: Annotated[
        str | None,
        typer.Argument(
            metavar="TOPIC",
            help="The page to read. Without it, all topics are listed.",
            autocompletion=complete_topic,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Read the manual.

    On a terminal a page opens in the pager that PAGER names. Elsewhere its Markdown is printed as
    it is.
    """
    from edge_llama.docs import page

    if topic is None:
        _list()
    elif sys.stdout.isatty():
        _show(page(topic).text)
    else:
        sys.stdout.write(page(topic).text)


def _list() -> None:
    from edge_llama.cli.terminal.tables import print_facts
    from edge_llama.docs import pages

    print_facts((page.topic, page.summary.replace("`", "")) for page in pages())
    sys.stdout.write("\nTo read one: edge-llama docs TOPIC\n")


def _show(text: str) -> None:
    """Open Markdown in a pager."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.width = min(console.width, WIDEST)
    # As Git does: colours, and no pager where all fits on one screen.
    os.environ.setdefault("LESS", "FRX")
    with console.pager(styles=True):
        console.print(Markdown(_with_commands(text), code_theme="ansi_dark", hyperlinks=False))


def _with_commands(text: str) -> str:
    """Links to other pages as the commands that show them."""
    return _LINK_TO_PAGE.sub(r"\1 (`edge-llama docs \2`)", text)
