"""From what a user calls a model to the installed one."""

from __future__ import annotations

import difflib
from contextlib import suppress

from edge_llama.errors import UnknownModel
from edge_llama.planning.reference import CatalogReference, HubReference, Reference, parse_reference
from edge_llama.weights.catalog.catalog import load_catalog
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store

_SUGGESTIONS = 3
_COMPARED = 100  # characters of a mistyped name


def installed_model(name: str, store: Store) -> InstalledModel:
    """The installed model that `name` means, or is the beginning of.

    Raises:
        UnknownModel: it is not installed, or several begin so; the text names what is like it.
    """
    if (model := store.find(name)) is not None:
        return model
    # An alias of the catalog, or an address of the hub, names it too.
    with suppress(UnknownModel):
        if (model := installed_as(parse_reference(name, load_catalog()), store)) is not None:
            return model
    if (model := begun(name, store)) is not None:
        return model
    raise resembling(
        UnknownModel(f"{name!r} is not installed. `edge-llama list` shows what is."), name, store
    )


def begun(name: str, store: Store) -> InstalledModel | None:
    """The only installed model of which a name begins with `name`; None if there is none.

    Raises:
        UnknownModel: there are several; the text names them.
    """
    found = store.beginning_with(name) if name else []
    if len(found) > 1:
        names = ", ".join(model.id for model in found)
        raise UnknownModel(f"{name!r} may be any of these: {names}. Give more of the name.")
    return found[0] if found else None


def resembling(error: UnknownModel, name: str, store: Store) -> UnknownModel:
    """`error` with the installed models whose names are like `name`, if there are any."""
    ids = {model.id.casefold(): model.id for model in store.installed()}
    near = difflib.get_close_matches(name[:_COMPARED].casefold(), ids, _SUGGESTIONS)
    if not near:
        return error
    return UnknownModel(f"{error} Installed and like it: {', '.join(ids[each] for each in near)}.")


def installed_as(reference: Reference, store: Store) -> InstalledModel | None:
    """The installed model that `reference` means, if there is one."""
    if isinstance(reference, CatalogReference):
        return store.find(reference.model.id, reference.quantization)
    if isinstance(reference, HubReference):
        if reference.filename is not None:
            return store.find(f"{reference.repository}/{reference.filename}")
        return store.find(reference.repository, reference.quantization)
    return None
