"""`edge-llama list`: the models on this disk, and those of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.options import AsJSON, MemoryBudget
from edge_llama.planning.budget import memory_budget

if TYPE_CHECKING:
    from edge_llama.cli.models.listing import ListedModel


def list_(
    all_models: Annotated[
        bool,
        typer.Option("--all", help="Also what the catalog has, and how it would do here."),
    ] = False,
    memory: MemoryBudget = None,
    as_json: AsJSON = False,
) -> None:
    """List the models that are installed.

    With --all, a model that is not installed is shown at the quantization that `pull` would
    choose for this machine. Its speed is an estimate from its size and the speed of the memory:
    fast is 15 tokens a second or more, steady 5 or more, and slow less.

    --json prints a list of models with `id`, `installed`, `quantization`, `bytes` and
    `context_length`; installed ones also with `path`, `complete`, `linked` (copy, hard link or
    reference), `source`, `repository`, `revision`, `catalog_id` and `installed_at`. With --all
    each has `fit`: `fits`, `refusal`, `memory` (bytes) and what it is made of, `ctx_size`,
    `kv_type`, `kv_layout`, `speed_class` and `tokens_per_second_estimate`.
    """
    from edge_llama.cli.models.listing import list_all, list_installed
    from edge_llama.cli.terminal.tables import print_json
    from edge_llama.planning.speed import Speedometer
    from edge_llama.weights.catalog.catalog import load_catalog
    from edge_llama.weights.store.store import default_store

    installed = default_store().installed()
    if all_models:
        budget = memory_budget(memory)
        rows = list(list_all(installed, load_catalog(), budget, Speedometer()))
    else:
        rows = list(list_installed(installed))
    if as_json:
        print_json([row.as_json() for row in rows])
    elif all_models:
        _print_all(rows)
    elif rows:
        _print_installed(rows)
    else:
        typer.echo(
            "No models are installed. `edge-llama list --all` shows what there is, `edge-llama "
            "pull MODEL` installs one.",
            err=True,
        )


def _print_installed(rows: list[ListedModel]) -> None:
    from edge_llama.cli.terminal.tables import Column, print_table

    columns = [
        Column("model", fold=True),
        Column("quantization"),
        Column("size", right=True),
        Column("context", right=True),
        Column("source", fold=True),
        Column("installed"),
    ]
    print_table(columns, [[*_common(row), *_origin(row)] for row in rows])


def _print_all(rows: list[ListedModel]) -> None:
    from edge_llama.cli.terminal.tables import Column, print_table

    columns = [
        Column("model", fold=True),
        Column("quantization"),
        Column("size", right=True),
        Column("here"),
        Column("speed (estimate)"),
    ]
    print_table(columns, [[*_common(row), *_state(row)] for row in rows])


def _common(row: ListedModel) -> list[str]:
    from edge_llama.units import format_size

    return [
        row.id,
        row.quantization or "",
        "" if row.size is None else format_size(row.size),
    ]


def _origin(row: ListedModel) -> list[str]:
    context = "" if row.context_length is None else f"{row.context_length:,}"
    if (model := row.installed) is None:
        return [context, "", ""]
    source = model.source
    if model.source == "hub":
        source = model.repository or "hub"
    elif model.source.startswith("import: "):
        source = f"imported, {model.files[0].linked}"
    if not model.is_complete:
        source = "files are missing or cut off"
    return [context, source, f"{model.installed_at.astimezone():%Y-%m-%d}"]


def _state(row: ListedModel) -> list[str]:
    here = row.bundled or row.installed
    words = (["built in"] if row.bundled else ["installed"]) if here else []
    if row.fit is not None and not (here and row.fit.plan):
        words.append(row.fit.word)
    return [", ".join(words), str(row.fit.speed or "") if row.fit else ""]
