"""`edge-llama verify`: find out whether the files of models are what they should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_llama.cli.completion import complete_installed
from edge_llama.cli.flags import in_one_line
from edge_llama.cli.options import AsJSON
from edge_llama.cli.terminal.exit_codes import ExitCode
from edge_llama.errors import WeightsError

if TYPE_CHECKING:
    from edge_llama.weights.store.checksum import FileReport
    from edge_llama.weights.store.record import InstalledModel
    from edge_llama.weights.store.store import Store


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found out about a model.

    Attributes:
        reports: of each file, before any repair.
        repaired: it was damaged and is not any more.
    """

    model: InstalledModel
    reports: list[FileReport]
    repaired: bool = False

    @property
    def ok(self) -> bool:
        """Whether the model is whole now."""
        return self.repaired or all(report.state == "ok" for report in self.reports)


def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Installed models. Default: all.",
            autocompletion=complete_installed,
            show_default=False,
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Download what is damaged again, and no more than that."),
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Check every byte of installed models.

    Damage is told in ranges of bytes. The exit code is 7 if any is left.

    --json prints a list of models with `id`, `ok`, `repaired` and `files`; of these each has
    `path`, `bytes`, `sha256`, `state` (ok, missing or damaged) and `damaged`, a list of [first
    byte, one past the last].
    """
    from edge_llama.cli.terminal.tables import print_json
    from edge_llama.planning.installed import installed_model
    from edge_llama.weights.store.store import default_store

    store = default_store()
    chosen = [installed_model(name, store) for name in models or []] or store.installed()
    results = [_verified(model, store, repair=repair) for model in chosen]
    if as_json:
        print_json([_as_json(result) for result in results])
    elif results:
        _print(results)
    else:
        typer.echo("No models are installed.", err=True)
    if not all(result.ok for result in results):
        raise typer.Exit(ExitCode.DAMAGED)


def _verified(model: InstalledModel, store: Store, *, repair: bool) -> Verification:
    from edge_llama.cli.terminal.progress import ProgressMode, display_for
    from edge_llama.weights.download.repair import repair as mend

    with display_for(ProgressMode.AUTO) as display:
        result = Verification(model, store.verify(model, display.update))
    if result.ok or not repair:
        return result
    try:
        with display_for(ProgressMode.AUTO) as display:
            mend(model, store, display.update)
    except WeightsError as error:
        # The other models are still to be verified.
        typer.echo(f"edge-llama: {in_one_line(error)}", err=True)
        return result
    return Verification(model, result.reports, repaired=True)


def _print(results: list[Verification]) -> None:
    from edge_llama.cli.terminal.tables import Column, print_table

    columns = [
        Column("model", fold=True),
        Column("file", fold=True),
        Column("size", right=True),
        Column("state"),
        Column("damaged bytes", fold=True),
    ]
    print_table(columns, [row for result in results for row in _rows(result)])


def _rows(result: Verification) -> Iterator[list[str]]:
    from edge_llama.units import format_size

    for report in result.reports:
        state: str = report.state
        if state != "ok" and result.repaired:
            state = "repaired"
        yield [
            result.model.id,
            report.file.path.name,
            format_size(report.file.size),
            state,
            ", ".join(f"{start}-{end - 1}" for start, end in report.damaged),
        ]


def _as_json(result: Verification) -> dict[str, Any]:
    return {
        "id": result.model.id,
        "ok": result.ok,
        "repaired": result.repaired,
        "files": [
            {
                "path": str(report.file.path),
                "bytes": report.file.size,
                "sha256": report.file.sha256,
                "state": report.state,
                "damaged": [list(interval) for interval in report.damaged],
            }
            for report in result.reports
        ],
    }
