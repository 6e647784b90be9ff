"""`edge-llama pull`: download a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.completion import complete_model
from edge_llama.cli.options import AllowURL, MemoryBudget
from edge_llama.cli.terminal.exit_codes import ExitCode
from edge_llama.cli.terminal.progress import ProgressMode, display_for
from edge_llama.errors import DoesNotFit, SettingsError
from edge_llama.planning.budget import memory_budget

if TYPE_CHECKING:
    from edge_llama.planning.reference import (
        Reference,
    )


def parse_sha256(text: str) -> str:
    """64 hexadecimal digits, in lower case.

    Raises:
        SettingsError: it is something else.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise SettingsError(f"--sha256 {text!r} is not 64 hexadecimal digits.")
    return text.lower()


Downloadable = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model of `edge-llama list --all`, owner/repo, owner/repo:QUANT or "
        "owner/repo/file.gguf of huggingface.co, or an https address.",
        autocompletion=complete_model,
    ),
]
Quantization = Annotated[
    str | None,
    typer.Option(
        "--quantization",
        "-q",
        metavar="NAME",
        help="For example Q8_0. Default: the best that fits, Q4_K_M preferred.",
        show_default=False,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Download it even if it does not fit into memory.")
]
ShownProgress = Annotated[
    ProgressMode,
    typer.Option(
        "--progress",
        help="'auto' draws a bar on a terminal and writes lines elsewhere. 'json' prints one "
        "object a line.",
    ),
]
SHA256 = Annotated[
    str | None,
    typer.Option(
        "--sha256",
        metavar="HEX",
        parser=parse_sha256,
        help="What a file from an address must have.",
        show_default=False,
    ),
]


def pull(
    model: Downloadable,
    quantization: Quantization = None,
    memory: MemoryBudget = None,
    force: Force = False,
    progress: ShownProgress = ProgressMode.AUTO,
    allow_url: AllowURL = False,
    sha256: SHA256 = None,
) -> None:
    """Download a model, verify it and keep it.

    Interrupted, it goes on where it was when it is called again.

    --progress json prints objects with `event`, sizes in bytes and times in seconds. `start`:
    `model`, `source`, `total`. `progress`, `verify` while checksums are computed and `wait` while
    another process downloads the same: `file`, `done`, `total`, `rate`, `eta`. The last line is
    `done`: `id`, `path`, `bytes`, `sha256` (null for several files), `files`, `already`; or
    `error`: `error`, `message`, `exit_code`.
    """
    from edge_llama.planning.install import install
    from edge_llama.planning.reference import parse_reference
    from edge_llama.weights.catalog.catalog import load_catalog
    from edge_llama.weights.store.store import default_store

    try:
        with stopping_calmly(), display_for(progress) as display:
            reference = parse_reference(model, load_catalog(), allow_url=allow_url)
            reference = _with_quantization(reference, quantization)
            budget = None if force else memory_budget(memory)
            install(reference, default_store(), display, budget=budget, sha256=sha256)
    except DoesNotFit as error:
        raise DoesNotFit(f"{error} --force downloads it all the same.") from error


@contextmanager
def stopping_calmly() -> Iterator[None]:
    """Tell whoever presses Ctrl-C in a download that nothing is lost, and end the program."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on where it was.", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _with_quantization(reference: Reference, name: str | None) -> Reference:
    """`reference`, with what `--quantization` says."""
    from edge_llama.planning.reference import CatalogReference, HubReference
    from edge_llama.weights.catalog.quantization import parse_quantization

    if name is None:
        return reference
    quantization = parse_quantization(name)
    if quantization is None:
        raise SettingsError(f"--quantization {name!r} is none. Give one such as Q4_K_M or Q8_0.")
    if isinstance(reference, CatalogReference) or (
        isinstance(reference, HubReference) and reference.filename is None
    ):
        if reference.quantization not in (None, quantization):
            raise SettingsError(f"{reference} and --quantization {name} contradict each other.")
        return replace(reference, quantization=quantization)
    raise SettingsError(f"--quantization cannot be given for {reference}, which is one file.")
