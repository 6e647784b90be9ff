"""From what a user calls a model to its files on this machine, downloaded if need be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_llama.errors import UnknownModel
from edge_llama.planning.install import PullWatcher, Unwatched, install
from edge_llama.planning.installed import begun, installed_as, resembling
from edge_llama.planning.locate import model_id, resolve_model
from edge_llama.planning.named import NamedModel
from edge_llama.planning.reference import (
    CatalogReference,
    DemoReference,
    FileReference,
    HubReference,
    UrlReference,
    parse_reference,
)
from edge_llama.weights.catalog.catalog import load_catalog
from edge_llama.weights.demo import DEMO
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import default_store


@dataclass(frozen=True, slots=True)
class Obtained:
    """A model whose files are on this machine. Two are equal when they are the same file.

    Attributes:
        path: its first file.
        name: what it is called.
    """

    path: Path
    name: NamedModel = field(compare=False)

    def also(self, other: Obtained) -> Obtained:
        """This one, under the names of another for the same file too."""
        known_as = (*self.name.known_as, other.name.id, *other.name.known_as)
        return replace(self, name=replace(self.name, known_as=known_as))


def obtain(
    name: str,
    *,
    budget: int,
    watcher: PullWatcher | None = None,
    allow_url: bool = False,
    download: bool = True,
) -> Obtained:
    """The model that `name` means; one of the catalog or the hub is downloaded if need be.

    What is on this machine already is found without a connection.

    Args:
        budget: bytes that it may take, which a quantization is chosen by.
        watcher: is told how a download goes.
        allow_url: whether files may come from other servers than the hub.
        download: whether anything may be downloaded.

    Raises:
        EdgeLlamaError: it cannot be had; the text says why and what to do.
    """
    found = find_here(name, allow_url=allow_url)
    if isinstance(found, Obtained):
        return found
    if not download:
        raise UnknownModel(f"{name!r} is not on this machine, and nothing may be downloaded.")
    installed = install(found, default_store(), watcher or Unwatched(), budget=budget)
    # An address may hold a secret, and what a model was asked for by is one of its names.
    return from_store(installed.id if isinstance(found, UrlReference) else name, installed)


def find_here(
    name: str, *, allow_url: bool = False
) -> Obtained | CatalogReference | HubReference | UrlReference:
    """The model that `name` means if it is on this machine, else where it can be had.

    Raises:
        EdgeLlamaError: it is nothing that can be had, or its file cannot be run.
    """
    store = default_store()
    if name != DEMO and (installed := store.find(name)) is not None and installed.is_complete:
        return from_store(name, installed)
    try:
        reference = parse_reference(name, load_catalog(), allow_url=allow_url)
    except UnknownModel as error:
        if (installed := begun(name, store)) is not None and installed.is_complete:
            return from_store(name, installed)
        raise resembling(error, name, store) from error
    if isinstance(reference, DemoReference | FileReference):
        path = str(reference)
        return Obtained(resolve_model(path), NamedModel(name, model_id(path)))
    if (installed := installed_as(reference, store)) is not None and installed.is_complete:
        return from_store(name, installed)
    return reference


def from_store(name: str, model: InstalledModel) -> Obtained:
    """An installed model that is called `name`."""
    known = load_catalog().find(model.catalog_id or "")
    known_as = (name, *(known.names if known else ()))
    return Obtained(model.path, NamedModel(name, model.id, known_as))
