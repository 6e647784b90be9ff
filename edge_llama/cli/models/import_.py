"""`edge-llama import`: use models that are already on this disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.flags import in_one_line
from edge_llama.cli.options import AsJSON, Yes
from edge_llama.cli.terminal.exit_codes import exit_code_of
from edge_llama.cli.terminal.printable import printable
from edge_llama.errors import EdgeLlamaError, SettingsError

if TYPE_CHECKING:
    from edge_llama.weights.caches.found import Findings, FoundModel
    from edge_llama.weights.store.record import InstalledModel
    from edge_llama.weights.store.store import Store


Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATH",
        help="A .gguf file, or a folder with some. Of a split model, any part.",
        show_default=False,
    ),
]
Scan = Annotated[
    bool,
    typer.Option(
        "--scan",
        help="Find the models of Hugging Face's cache, Ollama, LM Studio and llama.cpp.",
    ),
]


def import_(
    paths: Paths = None, scan: Scan = False, yes: Yes = False, as_json: AsJSON = False
) -> None:
    """Use models that are already on this disk, without a second copy.

    A file is hard-linked into the folder of models, so that it stays when the other program
    removes its own. Where that cannot be done, it is used where it is: on another disk, for
    example, or when it belongs to another user.

    --json prints a list of what was imported, as `list --json` does.
    """
    from edge_llama.weights.caches.adopt import adopted
    from edge_llama.weights.store.store import default_store

    if bool(paths) == scan:
        raise SettingsError("Give the path of a .gguf file or a folder, or --scan.")
    findings = _find(paths or [])
    store = default_store()
    installed = store.installed()
    new = [model for model in findings.models if adopted(model, installed) is None]
    _report(findings, len(findings.models) - len(new))
    several = scan or any(path.is_dir() for path in paths or [])
    if new and several and not _is_wanted(new, yes=yes, as_json=as_json):
        return
    results = [_adopt(model, store) for model in new]
    models = [result for result in results if not isinstance(result, EdgeLlamaError)]
    _tell(models, installed, as_json=as_json)
    failures = [result for result in results if isinstance(result, EdgeLlamaError)]
    if failures:
        raise typer.Exit(exit_code_of(failures[0]))


def _is_wanted(models: list[FoundModel], *, yes: bool, as_json: bool) -> bool:
    from edge_llama.cli.terminal.confirm import confirm
    from edge_llama.units import format_size

    if not as_json:
        _list(models)
    total = format_size(sum(model.size for model in models))
    question = f"Import {_models(len(models))}, {total}, without a copy?"
    return confirm(question, yes=yes, default=True)


def _tell(models: list[InstalledModel], before: list[InstalledModel], *, as_json: bool) -> None:
    from edge_llama.cli.models.listing import list_installed
    from edge_llama.cli.terminal.tables import print_json

    if as_json:
        print_json([row.as_json() for row in list_installed(models)])
    else:
        known = {model.record for model in before}
        sys.stdout.writelines(f"{printable(_told(m, already=m.record in known))}\n" for m in models)


def _find(paths: list[Path]) -> Findings:
    from edge_llama.weights.caches.found import Findings
    from edge_llama.weights.caches.scan import find_at, scan

    if not paths:
        return scan()
    findings = Findings()
    for path in paths:
        at = find_at(path)
        findings.models += at.models
        findings.skipped += at.skipped
    return findings


def _report(findings: Findings, known: int) -> None:
    """Say what is not going to be imported."""
    if not findings.models:
        typer.echo("No models were found.", err=True)
    elif known:
        typer.echo(f"{_models(known)} {'is' if known == 1 else 'are'} already here.", err=True)
    if findings.skipped:
        typer.echo(
            f"Skipped files: {findings.skipped}. They are half downloads, broken links, projectors "
            "and other GGUFs that are no language models, or may not be read.",
            err=True,
        )


def _list(models: list[FoundModel]) -> None:
    from edge_llama.cli.terminal.tables import Column, print_table
    from edge_llama.units import format_size

    print_table(
        [
            Column("found in"),
            Column("model", fold=True),
            Column("quantization"),
            Column("size", right=True),
        ],
        [
            [model.app or "", model.name, model.quantization, format_size(model.size)]
            for model in models
        ],
    )


def _adopt(found: FoundModel, store: Store) -> InstalledModel | EdgeLlamaError:
    """Import one model of several. What is wrong with it is told and returned."""
    from edge_llama.cli.terminal.progress import ProgressMode, display_for
    from edge_llama.weights.caches.adopt import adopt
    from edge_llama.weights.catalog.catalog import load_catalog

    try:
        with display_for(ProgressMode.AUTO) as display:
            return adopt(found, store, load_catalog(), display.update)
    except EdgeLlamaError as error:
        name, fault = printable(found.name), in_one_line(error)
        typer.echo(f"edge-llama: {name} was not imported: {fault}", err=True)
        return error


def _told(model: InstalledModel, *, already: bool) -> str:
    name = f"{model.id} ({model.quantization})"
    if already:
        return f"{name} is already installed, with the same content."
    linked = model.files[0].linked
    return f"Imported {name} by {linked}{f' to {model.path}' * (linked == 'reference')}."


def _models(count: int) -> str:
    return f"{count} model" + "s" * (count != 1)
