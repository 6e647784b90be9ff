"""From a reference to an installed model, which is downloaded if need be."""

from __future__ import annotations

from typing import Protocol

from edge_llama.errors import SettingsError
from edge_llama.planning.choice import choose, known_model
from edge_llama.planning.installed import installed_as
from edge_llama.planning.reference import (
    CatalogReference,
    DemoReference,
    FileReference,
    HubReference,
    Reference,
    UrlReference,
)
from edge_llama.weights.catalog.catalog import load_catalog
from edge_llama.weights.catalog.quantization import UNKNOWN
from edge_llama.weights.download.download import naming_alternatives
from edge_llama.weights.download.download import pull as download
from edge_llama.weights.download.url import pull_url
from edge_llama.weights.store.progress import Progress
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store


class PullWatcher(Protocol):
    """Is told how a download goes, from the thread that waits for it."""

    def start(self, model: str, source: str, total: int | None) -> None:
        """It begins: `total` bytes of `model` from `source`; None if unknown."""
        ...

    def update(self, progress: Progress) -> None:
        """Called as often as bytes arrive."""
        ...

    def done(self, model: InstalledModel, *, already: bool = False) -> None:
        """The model is installed, or `already` was."""
        ...


class Unwatched:
    """A `PullWatcher` that nobody looks at."""

    def start(self, model: str, source: str, total: int | None) -> None: ...

    def update(self, progress: Progress) -> None: ...

    def done(self, model: InstalledModel, *, already: bool = False) -> None: ...


def install(
    reference: Reference,
    store: Store,
    watcher: PullWatcher,
    *,
    budget: int | None,
    sha256: str | None = None,
) -> InstalledModel:
    """The installed model that `reference` means; it is downloaded if it is not there yet.

    Args:
        watcher: is told how the download goes.
        budget: bytes that the model may take; None downloads it in any case.
        sha256: what the file of a URL must have.

    Raises:
        SettingsError: it is nothing that can be downloaded.
        DoesNotFit: it needs more memory; nothing was downloaded.
        WeightsError: as for `weights.download.pull`.
    """
    if isinstance(reference, UrlReference):
        return _install_url(reference, store, watcher, sha256)
    if sha256 is not None:
        raise SettingsError("`sha256` is for addresses; the hub tells what its files must have.")
    if isinstance(reference, DemoReference):
        raise SettingsError("The demo comes with edge-llama. There is nothing to download.")
    if isinstance(reference, FileReference):
        raise SettingsError(f"{reference} is a file of this machine. Use `edge-llama import`.")
    if (found := installed_as(reference, store)) is not None and found.is_complete:
        watcher.done(found, already=True)
        return found
    return _download(reference, store, watcher, budget)


def _download(
    reference: CatalogReference | HubReference,
    store: Store,
    watcher: PullWatcher,
    budget: int | None,
) -> InstalledModel:
    catalog = load_catalog()
    known = known_model(reference, catalog)
    with naming_alternatives(store):
        variant = choose(reference, catalog, budget)
    name = f"{known.id if known else variant.repository}:{variant.quantization}"
    if variant.quantization == UNKNOWN:
        name = f"{variant.repository}/{variant.files[0].path}"
    watcher.start(name, variant.repository, variant.expected_size)
    found = download(variant, store, model=known, on_progress=watcher.update)
    watcher.done(found)
    return found


def _install_url(
    reference: UrlReference, store: Store, watcher: PullWatcher, sha256: str | None
) -> InstalledModel:
    watcher.start(reference.filename, reference.url, None)
    found = pull_url(reference.url, store, sha256=sha256, on_progress=watcher.update)
    watcher.done(found)
    return found
