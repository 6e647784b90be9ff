"""From what a user calls a model to the installed one."""

from __future__ import annotations

from contextlib import suppress

from edge_llama.errors import UnknownModel
from edge_llama.planning.reference import CatalogReference, HubReference, Reference, parse_reference
from edge_llama.weights.catalog.catalog import load_catalog
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store


def installed_model(name: str, store: Store) -> InstalledModel:
    """The installed model that `name` means.

    Raises:
        UnknownModel: it is not installed.
    """
    if (model := store.find(name)) is not None:
        return model
    # An alias of the catalog, or an address of the hub, names it too.
    with suppress(UnknownModel):
        if (model := installed_as(parse_reference(name, load_catalog()), store)) is not None:
            return model
    raise UnknownModel(f"{name!r} is not installed. `edge-llama list` shows what is.")


def installed_as(reference: Reference, store: Store) -> InstalledModel | None:
    """The installed model that `reference` means, if there is one."""
    if isinstance(reference, CatalogReference):
        return store.find(reference.model.id, reference.quantization)
    if isinstance(reference, HubReference):
        if reference.filename is not None:
            return store.find(f"{reference.repository}/{reference.filename}")
        return store.find(reference.repository, reference.quantization)
    return None
