"""`edge-llama api-key`: a new API key for one user of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def api_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The file that `serve --api-key-file` reads."),
    ],
) -> None:
    """Make an API key, print it once, and add its hash to a file."""
    from edge_llama.api.gate.key_file import add_key

    typer.echo(add_key(file, name))
