"""`edge-llama keys usage`: what was used."""

from __future__ import annotations

import sys
import time
from enum import Enum
from typing import Annotated

import typer

from edge_llama.cli.duration import parse_duration
from edge_llama.cli.keys.options import StateDir, key_store, state_file
from edge_llama.cli.options import AsJSON


class By(str, Enum):
    """What stands in a line of the table."""

    KEY = "key"
    MODEL = "model"
    DAY = "day"


def usage(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Of this key only; its name or id."),
    ] = None,
    by: Annotated[By, typer.Option("--by", help="What stands in a line.")] = By.KEY,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="DURATION",
            help="How far back: 24h, 7d. Whole hours are counted.",
        ),
    ] = "30d",
    state_dir: StateDir = None,
    as_json: AsJSON = False,
) -> None:
    """Show what keys have used: requests, tokens and cents.

    Keys of --api-key-file are there by their names, that of --api-key as 'main'.

    --json prints a list of objects with `group`, `requests`, `prompt_tokens`, `cached_tokens`,
    `completion_tokens` and `cents`.
    """
    from edge_llama.accounts.usage import read_usage
    from edge_llama.cli.keys.told import usage_object
    from edge_llama.cli.terminal.tables import Column, print_json, print_table

    names = {key.id: key.name for key in key_store(state_dir)}
    ids = {own: id for id, own in names.items()}
    connection = state_file(state_dir).connect()
    first = time.time() - parse_duration(since)
    key = None if name is None else ids.get(name, name)
    rows = read_usage(connection, by.value, since=first, key=key)
    titles = [_title(row.group, by, names) for row in rows]
    if as_json:
        print_json(
            [
                {"group": title, **usage_object(row.usage)}
                for title, row in zip(titles, rows, strict=True)
            ]
        )
    elif not rows:
        sys.stdout.write("Nothing was used.\n")
    else:
        columns = ("requests", "prompt tokens", "cached", "output tokens", "cents")
        print_table(
            [Column(by.value, fold=True), *(Column(title, right=True) for title in columns)],
            [
                (
                    title,
                    f"{row.usage.requests:,}",
                    f"{row.usage.prompt_tokens:,}",
                    f"{row.usage.cached_tokens:,}",
                    f"{row.usage.completion_tokens:,}",
                    f"{row.usage.cents:.2f}",
                )
                for title, row in zip(titles, rows, strict=True)
            ],
        )


def _title(group: str, by: By, names: dict[str, str]) -> str:
    from edge_llama.cli.keys.told import moment

    if by is By.DAY:
        return moment(float(group)).split()[0]
    return names.get(group, group) if by is By.KEY else group
