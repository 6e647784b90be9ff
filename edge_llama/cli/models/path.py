"""`edge-llama path`: where a model is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edge_llama.cli.completion import complete_installed


def path(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="An installed model, or 'demo'. Without it, the folder of all models is printed.",
            autocompletion=complete_installed,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print where a model is, or the folder of all models.

    Of a model in several files, it is the first: the one that programs open.
    """
    from edge_llama.planning.installed import installed_model
    from edge_llama.weights.demo import DEMO, bundled_model
    from edge_llama.weights.store.store import default_store

    store = default_store()
    if model is None:
        found = store.root
    else:
        found = bundled_model() if model == DEMO else installed_model(model, store).path
    sys.stdout.write(f"{found}\n")
