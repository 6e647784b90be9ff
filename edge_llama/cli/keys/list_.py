"""`edge-llama keys list`: all keys."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edge_llama.cli.keys.options import StateDir, key_store
from edge_llama.cli.options import AsJSON


def list_(
    every: Annotated[bool, typer.Option("--all", help="Also those that were revoked.")] = False,
    state_dir: StateDir = None,
    as_json: AsJSON = False,
) -> None:
    """List the keys with their limits.

    --json prints a list of what `keys show` does.
    """
    from edge_llama.cli.keys.told import key_object, limits_text, moment, state_of
    from edge_llama.cli.terminal.tables import Column, print_json, print_table

    keys = [key for key in key_store(state_dir) if every or key.revoked is None]
    if as_json:
        print_json([key_object(key) for key in keys])
    elif not keys:
        sys.stdout.write("There are no keys. Make one with: edge-llama keys create NAME\n")
    else:
        print_table(
            [Column("name"), Column("state"), Column("made"), Column("limits", fold=True)],
            [
                (
                    f"{key.name} (admin)" if key.admin else key.name,
                    state_of(key),
                    moment(key.created),
                    limits_text(key),
                )
                for key in keys
            ],
        )
