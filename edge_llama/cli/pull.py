"""`edge-llama pull`: download a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.completion import complete_model
from edge_llama.cli.exit_codes import ExitCode
from edge_llama.cli.options import AllowURL, MemoryBudget, memory_budget
from edge_llama.cli.progress import Display, ProgressMode, display_for
from edge_llama.errors import DoesNotFit, SettingsError

if TYPE_CHECKING:
    from edge_llama.weights.record import InstalledModel
    from edge_llama.weights.reference import (
        CatalogReference,
        HubReference,
        Reference,
        UrlReference,
    )
    from edge_llama.weights.store import Store


def parse_sha256(text: str) -> str:
    """64 hexadecimal digits, in lower case.

    Raises:
        SettingsError: it is something else.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise SettingsError(f"--sha256 {text!r} is not 64 hexadecimal digits.")
    return text.lower()


def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model of `edge-llama list --all`, owner/repo, owner/repo:QUANT or "
            "owner/repo/file.gguf of huggingface.co, or an https address.",
            autocompletion=complete_model,
        ),
    ],
    quantization: Annotated[
        str | None,
        typer.Option(
            "--quantization",
            "-q",
            metavar="NAME",
            help="For example Q8_0. Default: the best that fits, Q4_K_M preferred.",
            show_default=False,
        ),
    ] = None,
    memory: MemoryBudget = None,
    force: Annotated[
        bool, typer.Option("--force", help="Download it even if it does not fit into memory.")
    ] = False,
    progress: Annotated[
        ProgressMode,
        typer.Option(
            "--progress",
            help="'auto' draws a bar on a terminal and writes lines elsewhere. 'json' prints one "
            "object a line.",
        ),
    ] = ProgressMode.AUTO,
    allow_url: AllowURL = False,
    sha256: Annotated[
        str | None,
        typer.Option(
            "--sha256",
            metavar="HEX",
            parser=parse_sha256,
            help="What a file from an address must have.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Download a model, verify it and keep it.

    Interrupted, it goes on where it was when it is called again.

    --progress json prints objects with `event`, sizes in bytes and times in seconds. `start`:
    `model`, `source`, `total`. `progress`, `verify` while checksums are computed and `wait` while
    another process downloads the same: `file`, `done`, `total`, `rate`, `eta`. The last line is
    `done`: `id`, `path`, `bytes`, `sha256` (null for several files), `files`, `already`; or
    `error`: `error`, `message`, `exit_code`.
    """
    from edge_llama.weights.catalog import load_catalog
    from edge_llama.weights.reference import parse_reference
    from edge_llama.weights.store import default_store

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


def install(
    reference: Reference,
    store: Store,
    display: Display,
    *,
    budget: int | None,
    sha256: str | None = None,
) -> InstalledModel:
    """The installed model that `reference` means; it is downloaded if it is not there yet.

    Args:
        budget: bytes that the model may take; None downloads it in any case.
        sha256: what the file of a URL must have.

    Raises:
        SettingsError: it is nothing that can be downloaded.
        DoesNotFit: it needs more memory; nothing was downloaded.
        WeightsError: as for `weights.download.pull`.
    """
    from edge_llama.cli.installed import installed_as
    from edge_llama.weights.reference import DemoReference, FileReference, UrlReference

    if isinstance(reference, UrlReference):
        return _install_url(reference, store, display, sha256)
    if sha256 is not None:
        raise SettingsError("--sha256 is for addresses; the hub tells what its files must have.")
    if isinstance(reference, DemoReference):
        raise SettingsError("The demo comes with edge-llama. There is nothing to download.")
    if isinstance(reference, FileReference):
        raise SettingsError(f"{reference} is a file of this machine. Use edge-llama import for it.")
    if (found := installed_as(reference, store)) is not None and found.is_complete:
        display.done(found, already=True)
        return found
    return _download(reference, store, display, budget)


def _download(
    reference: CatalogReference | HubReference, store: Store, display: Display, budget: int | None
) -> InstalledModel:
    from edge_llama.cli.choice import choose, known_model
    from edge_llama.weights.catalog import load_catalog
    from edge_llama.weights.download import naming_alternatives
    from edge_llama.weights.download import pull as download
    from edge_llama.weights.quantization import UNKNOWN

    catalog = load_catalog()
    known = known_model(reference, catalog)
    with naming_alternatives(store):
        variant = choose(reference, catalog, budget)
    name = f"{known.id if known else variant.repository}:{variant.quantization}"
    if variant.quantization == UNKNOWN:
        name = f"{variant.repository}/{variant.files[0].path}"
    display.start(name, variant.repository, variant.expected_size)
    found = download(variant, store, model=known, on_progress=display.update)
    display.done(found)
    return found


def _install_url(
    reference: UrlReference, store: Store, display: Display, sha256: str | None
) -> InstalledModel:
    from edge_llama.weights.url import pull_url

    display.start(reference.filename, reference.url, None)
    found = pull_url(reference.url, store, sha256=sha256, on_progress=display.update)
    display.done(found)
    return found


def _with_quantization(reference: Reference, name: str | None) -> Reference:
    """`reference`, with what `--quantization` says."""
    from edge_llama.weights.quantization import parse_quantization
    from edge_llama.weights.reference import CatalogReference, HubReference

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
