"""`edge-llama cache`: what is kept on disk of prompts that were read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_llama.cli.cache.disk_cache import CacheOptions, open_folder
from edge_llama.cli.option_group import takes_groups
from edge_llama.cli.options import AsJSON, Yes
from edge_llama.cli.terminal.exit_codes import ExitCode

if TYPE_CHECKING:
    from edge_llama.engine.blocks.entry import Entry


class Action(str, Enum):
    """What is to be done."""

    SHOW = "show"
    CLEAR = "clear"
    PRUNE = "prune"


@takes_groups
def cache(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.SHOW,
    *,
    kept: CacheOptions,
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Show, empty or shrink the cache of prompts on disk.

    What a model has read of prompts is kept there, so that nothing is read twice, also after a
    restart. `prune` removes what was used longest ago until the rest is within --cache-size,
    `clear` removes all; running servers go on.

    --json prints `folder`, `bytes`, `max_bytes` and `models`, each with `name`, `tokens`, `bytes`
    and `used_at`; for clear and prune `freed` bytes too.
    """
    from edge_llama.cli.terminal.tables import print_json
    from edge_llama.units import format_size

    max_bytes = kept.max_bytes
    folder = open_folder(kept.root, max_bytes)
    freed = None
    if action is not Action.SHOW:
        if action is Action.CLEAR and not _is_sure(folder.entries(), yes=yes):
            raise typer.Exit(ExitCode.ERROR)
        freed = folder.prune(0 if action is Action.CLEAR else max_bytes)
    entries = folder.entries()
    total = sum(entry.size for entry in entries)
    models = list(_models(entries))
    if as_json:
        told = {"folder": str(folder.path), "bytes": total, "max_bytes": max_bytes}
        told["models"] = [model.as_json() for model in models]
        print_json(told if freed is None else told | {"freed": freed})
        return
    if freed is not None:
        sys.stdout.write(f"{format_size(freed)} are free again.\n")
    _print(models)
    sys.stdout.write(f"{format_size(total)} of at most {format_size(max_bytes)} in {folder.path}\n")


@dataclass(frozen=True, slots=True)
class _Model:
    """What is kept of one model."""

    name: str
    n_tokens: int
    size: int
    used: datetime

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "tokens": self.n_tokens,
            "bytes": self.size,
            "used_at": self.used.isoformat(timespec="seconds"),
        }


def _models(entries: list[Entry]) -> Iterator[_Model]:
    """Of each model, what was used last first."""
    by_model: dict[str, list[Entry]] = {}
    for entry in reversed(entries):
        if entry.model:
            by_model.setdefault(entry.model, []).append(entry)
    for model, found in by_model.items():
        yield _Model(
            _label(found) or model,
            sum(entry.n_tokens for entry in found),
            sum(entry.size for entry in found),
            datetime.fromtimestamp(found[0].used / 1e9, timezone.utc),
        )


def _label(entries: list[Entry]) -> str:
    """The name in the first file that can be read."""
    from edge_llama.engine.blocks.block_file import BadBlock, read_header

    for entry in entries:
        with suppress(BadBlock, OSError):
            return read_header(entry.path).label
    return ""


def _is_sure(entries: list[Entry], *, yes: bool) -> bool:
    from edge_llama.cli.terminal.confirm import confirm
    from edge_llama.units import format_size

    size = format_size(sum(entry.size for entry in entries))
    return confirm(f"Remove {size} of prompts that were read?", yes=yes)


def _print(models: list[_Model]) -> None:
    from edge_llama.cli.terminal.tables import Column, print_table
    from edge_llama.units import format_size

    if not models:
        return
    columns = [
        Column("model", fold=True),
        Column("tokens", right=True),
        Column("size", right=True),
        Column("last used"),
    ]
    rows = [
        [
            model.name,
            f"{model.n_tokens:,}",
            format_size(model.size),
            f"{model.used.astimezone():%Y-%m-%d %H:%M}",
        ]
        for model in models
    ]
    print_table(columns, rows)
