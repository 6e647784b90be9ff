"""`edge-llama rm`: remove a model from this machine."""

from __future__ import annotations

import sys

import typer

from edge_llama.cli.options import Installed, Yes
from edge_llama.cli.terminal.exit_codes import ExitCode
from edge_llama.cli.terminal.printable import printable


def rm(model: Installed, yes: Yes = False) -> None:
    """Remove an installed model.

    Files that belong to another program, or that it keeps under a name of its own, stay there.
    """
    from edge_llama.cli.terminal.confirm import confirm
    from edge_llama.planning.installed import installed_model
    from edge_llama.units import format_size
    from edge_llama.weights.store.store import default_store

    store = default_store()
    found = installed_model(model, store)
    size = format_size(found.size)
    what = {
        "copy": f"{size} are deleted",
        "hard link": f"{size} are deleted, unless another program keeps them too",
        "reference": f"the {size} stay, they belong to another program",
    }[found.files[0].linked]
    if not confirm(f"Remove {found.id} ({found.quantization}; {what})?", yes=yes):
        raise typer.Exit(ExitCode.ERROR)
    was_there = any(file.path.exists() for file in found.files)
    freed = store.remove(found)
    if freed or not was_there:
        effect = f"{format_size(freed)} are free again"
    else:
        effect = "Another program keeps its bytes"
    sys.stdout.write(f"Removed {printable(found.id)}. {effect}.\n")
