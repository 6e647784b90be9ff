"""`edge-llama keys rotate`: a new secret for a key."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edge_llama.cli.duration import parse_duration
from edge_llama.cli.keys.options import NameOrId, StateDir, key_store


def rotate(
    name: NameOrId,
    old_valid: Annotated[
        str,
        typer.Option(
            "--old-valid",
            metavar="DURATION",
            help="How long the old one opens too: 10m, 24h, 7d; 0 ends it at once.",
        ),
    ] = "24h",
    state_dir: StateDir = None,
) -> None:
    """Replace a key, which keeps its limits and usage, and print the new one, once."""
    _, secret = key_store(state_dir).rotate(name, old_valid=parse_duration(old_valid))
    sys.stdout.write(f"{secret}\n")
