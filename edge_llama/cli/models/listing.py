"""What `edge-llama list` knows about each model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_llama.cli.models.fit import with_serve_flags
from edge_llama.errors import DoesNotFit, ModelFileError
from edge_llama.planning.fit import Fit
from edge_llama.planning.speed import Speedometer

if TYPE_CHECKING:
    from edge_llama.weights.catalog.catalog import Catalog, CatalogModel
    from edge_llama.weights.catalog.variant import Variant
    from edge_llama.weights.memory.model_shape import ModelShape
    from edge_llama.weights.store.record import InstalledModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A row of the list.

    Attributes:
        id: what commands take.
        quantization: of a model that is not installed, the one that this machine would get.
        size: bytes of all files; None if unknown.
        context_length: tokens of context it was trained for; None if unknown.
        installed: None if it is not.
        bundled: it comes with edge-llama.
        fit: None if that was not asked for or cannot be told.
    """

    id: str
    quantization: str | None
    size: int | None
    context_length: int | None
    installed: InstalledModel | None = None
    bundled: bool = False
    fit: Fit | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs; sizes in bytes."""
        found: dict[str, Any] = {
            "id": self.id,
            "installed": self.bundled or self.installed is not None,
            "quantization": self.quantization,
            "bytes": self.size,
            "context_length": self.context_length,
        }
        if (model := self.installed) is not None:
            found |= {
                "path": str(model.path),
                "complete": model.is_complete,
                "linked": model.files[0].linked,
                "source": model.source,
                "repository": model.repository,
                "revision": model.revision,
                "catalog_id": model.catalog_id,
                "installed_at": model.installed_at.isoformat(timespec="seconds"),
            }
        if self.fit is not None:
            found["fit"] = with_serve_flags(self.fit).as_json()
        return found


def list_installed(models: Iterable[InstalledModel]) -> Iterator[ListedModel]:
    """Rows of installed models."""
    return (_installed(model, _shape(model)) for model in models)


def list_all(
    models: list[InstalledModel], catalog: Catalog, budget: int, speedometer: Speedometer
) -> Iterator[ListedModel]:
    """Rows of the demo, of installed models, then of what else the catalog has, with their fit.

    Args:
        budget: bytes that a model may take.
    """
    yield _demo(budget, speedometer)
    for model in models:
        shape = _shape(model)
        fit = Fit.of(shape, budget, speedometer) if shape else None
        yield replace(_installed(model, shape), fit=fit)
    installed = {model.catalog_id for model in models}
    for entry in catalog.models:
        if entry.id not in installed:
            yield _available(entry, budget, speedometer)


def _demo(budget: int, speedometer: Speedometer) -> ListedModel:
    from edge_llama.weights.demo import DEMO, bundled_model
    from edge_llama.weights.memory.model_shape import ModelShape

    path = bundled_model()
    shape = ModelShape.of_file(path)
    return ListedModel(
        id=DEMO,
        quantization=shape.quantization,
        size=path.stat().st_size,
        context_length=shape.context_length,
        bundled=True,
        fit=Fit.of(shape, budget, speedometer),
    )


def _installed(model: InstalledModel, shape: ModelShape | None) -> ListedModel:
    return ListedModel(
        id=model.id,
        quantization=model.quantization,
        size=model.size,
        context_length=shape.context_length if shape else None,
        installed=model,
    )


def _available(model: CatalogModel, budget: int, speedometer: Speedometer) -> ListedModel:
    variant = _best_or_preferred(model, budget)
    return ListedModel(
        id=model.id,
        quantization=variant.quantization if variant else None,
        size=variant.expected_size if variant else None,
        context_length=model.context_length,
        fit=Fit.of_variant(model, variant, budget, speedometer) if variant else None,
    )


def _best_or_preferred(model: CatalogModel, budget: int) -> Variant | None:
    """What `pull` would choose; where nothing fits, what `pull --force` would."""
    from edge_llama.weights.memory.fit import choose_variant

    for bytes_there in (budget, sys.maxsize):
        with suppress(DoesNotFit):
            return choose_variant(model, bytes_there)
    return None  # the catalog knows none of its files


def _shape(model: InstalledModel) -> ModelShape | None:
    from edge_llama.weights.memory.model_shape import ModelShape

    try:
        return ModelShape.of_file(model.path)
    except ModelFileError:
        return None  # its row tells that it is not complete
