"""From what a user calls a model to the very files that are downloaded."""

from __future__ import annotations

import sys
from dataclasses import replace

from edge_llama.errors import DoesNotFit, UnknownModel
from edge_llama.planning.reference import CatalogReference, HubReference
from edge_llama.units import format_size
from edge_llama.weights.catalog.catalog import Catalog, CatalogModel
from edge_llama.weights.catalog.file_kind import FileKind, kind_by_name
from edge_llama.weights.catalog.variant import Variant
from edge_llama.weights.hub.hub import Hub
from edge_llama.weights.memory.fit import choose_variant


def known_model(
    reference: CatalogReference | HubReference, catalog: Catalog
) -> CatalogModel | None:
    """The catalog's entry that `reference` is about; None if there is none."""
    if isinstance(reference, CatalogReference):
        return reference.model
    for model in catalog.models:
        if any(each.name == reference.repository for each in model.repositories):
            return model
    return None


def choose(
    reference: CatalogReference | HubReference, catalog: Catalog, budget: int | None
) -> Variant:
    """The files that `reference` means; the hub is asked for what the catalog does not tell.

    Args:
        catalog: what it has is not asked for, and it names what would fit instead.
        budget: bytes that the model may take; None takes what is preferred, fit or not.

    Raises:
        UnknownModel: the catalog or the hub has nothing like that.
        DoesNotFit: it needs more memory; the text says what would fit.
        GatedRepository, HubUnavailable: as for `Hub.variants`.
    """
    if isinstance(reference, CatalogReference):
        model, quantization, filename = reference.model, reference.quantization, None
        listed = [variant.quantization for variant in model.variants]
        if not listed or quantization not in (None, *listed):
            first = model.repositories[0]
            model = replace(model, variants=_on_hub(first.name, first.revision))
    else:
        quantization, filename = reference.quantization, reference.filename
        model = _as_model(reference, known_model(reference, catalog))
    if quantization is None and filename is None:
        return choose_variant(model, sys.maxsize if budget is None else budget, catalog.models)
    variant = _wanted(model, quantization, filename)
    if budget is not None:
        _check_fit(model, variant, budget, catalog)
    return variant


def _as_model(reference: HubReference, known: CatalogModel | None) -> CatalogModel:
    """A repository of the hub as an entry of its own, with the shape of the known model."""
    name = reference.repository
    return CatalogModel(
        id=name,
        name=name,
        architecture=known.architecture if known else None,
        variants=_on_hub(name, reference.revision, reference.filename),
    )


def _on_hub(repository: str, revision: str | None, file: str | None = None) -> tuple[Variant, ...]:
    return tuple(Hub().variants(repository, revision, file))


def _wanted(model: CatalogModel, quantization: str | None, filename: str | None) -> Variant:
    for variant in model.variants:
        if filename is None and variant.quantization == quantization:
            return variant
        if any(file.path == filename for file in variant.files):
            return variant
    names = ", ".join(dict.fromkeys(variant.quantization for variant in model.variants))
    if filename is not None and (kind := kind_by_name(filename)) is not FileKind.MODEL:
        raise UnknownModel(
            f"{filename} is {kind.value} by its name, if {model.id} has it, and no model. It has "
            f"{names}."
        )
    raise UnknownModel(f"{model.id} has no {filename or quantization}. It has {names}.")


def _check_fit(model: CatalogModel, variant: Variant, budget: int, catalog: Catalog) -> None:
    try:
        choose_variant(replace(model, variants=(variant,)), budget)
    except DoesNotFit as refusal:
        # If nothing of this model fits, this raises with what would fit of others.
        other = choose_variant(model, budget, catalog.models)
        size = "" if other.expected_size is None else f" ({format_size(other.expected_size)})"
        raise DoesNotFit(
            f"{variant.quantization} of {model.id} does not fit into {format_size(budget)} of "
            f"memory. {other.quantization}{size} of it would."
        ) from refusal
