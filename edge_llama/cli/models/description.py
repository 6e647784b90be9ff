"""What `edge-llama show` knows about a model: from its header, its record and the catalog."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_llama.errors import UnknownModel
from edge_llama.planning.speed import Speedometer

if TYPE_CHECKING:
    from edge_llama.planning.fit import Fit
    from edge_llama.weights.catalog.catalog import Architecture, Catalog, CatalogModel
    from edge_llama.weights.catalog.variant import Variant
    from edge_llama.weights.memory.model_shape import ModelShape
    from edge_llama.weights.store.record import InstalledModel
    from edge_llama.weights.store.store import Store


F16_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """The size of a model, wherever it was told.

    Attributes:
        kv_heads: heads of keys and values of a layer; the mean if layers differ.
        kv_bytes_per_token: of all layers, at f16.
    """

    parameters: int
    context_length: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    kv_bytes_per_token: int

    @classmethod
    def of_shape(cls, shape: ModelShape) -> Dimensions:
        """As a header tells them."""
        return cls(
            parameters=shape.parameters,
            context_length=shape.context_length,
            layers=shape.layers,
            heads=shape.heads,
            kv_heads=round(shape.kv_heads / shape.layers),
            vocabulary=shape.vocabulary,
            kv_bytes_per_token=shape.kv_heads * (shape.key_length + shape.value_length) * F16_BYTES,
        )

    @classmethod
    def of_architecture(cls, architecture: Architecture) -> Dimensions:
        """As the catalog tells them."""
        return cls(
            parameters=architecture.parameters,
            context_length=architecture.context_length,
            layers=architecture.layers,
            heads=architecture.heads,
            kv_heads=architecture.kv_heads,
            vocabulary=architecture.vocabulary,
            kv_bytes_per_token=architecture.kv_bytes_per_token,
        )


@dataclass(frozen=True, slots=True)
class DescribedFile:
    """A file on this disk.

    Attributes:
        size: bytes.
        sha256: None if it is not recorded; nothing is read for it.
    """

    path: Path
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A model whose files are on this disk.

    Attributes:
        id: what it is listed under, or its file's name.
        shape: as its header tells.
        licence: as the catalog or its header tells; None if neither does.
        licence_url: its text.
        chat_template: whether the file has one of its own.
        source: where it came from.
        installed: its record; None if it is not in the store.
    """

    id: str
    shape: ModelShape
    licence: str | None
    licence_url: str | None
    chat_template: bool
    files: tuple[DescribedFile, ...]
    source: str
    fit: Fit
    installed: InstalledModel | None = None


@dataclass(frozen=True, slots=True)
class AvailableModel:
    """A model of the catalog that is not installed.

    Attributes:
        variants: with their fit, which is None where the catalog does not tell enough.
    """

    model: CatalogModel
    variants: tuple[tuple[Variant, Fit | None], ...]


class Describer:
    """Args: budget: bytes that a model may take."""

    def __init__(self, store: Store, catalog: Catalog, budget: int) -> None:
        self._store = store
        self._catalog = catalog
        self._budget = budget
        self._speedometer = Speedometer()

    def describe(self, name: str) -> LocalModel | AvailableModel:
        """What is known about the model that `name` means, without a network.

        Raises:
            UnknownModel: it is neither here nor in the catalog.
            ModelFileError: its file cannot be read or is no model.
        """
        from edge_llama.planning import reference as references
        from edge_llama.planning.installed import begun, installed_as, resembling
        from edge_llama.weights.demo import DEMO, bundled_model

        if (installed := self._store.find(name)) is not None:
            return self._installed(installed)
        try:
            reference = references.parse_reference(name, self._catalog, allow_url=True)
        except UnknownModel as error:
            if (installed := begun(name, self._store)) is not None:
                return self._installed(installed)
            raise resembling(error, name, self._store) from error
        if isinstance(reference, references.DemoReference):
            return self._local(DEMO, bundled_model(), "comes with edge-llama")
        if isinstance(reference, references.FileReference):
            path = reference.path.expanduser().absolute()
            return self._local(path.stem, path, "a file outside the folder of models")
        if (installed := installed_as(reference, self._store)) is not None:
            return self._installed(installed)
        if isinstance(reference, references.CatalogReference):
            return self._available(reference.model, reference.quantization)
        raise UnknownModel(f"{name!r} is neither installed nor in the catalog.")

    def _installed(self, installed: InstalledModel) -> LocalModel:
        source = installed.repository if installed.source == "hub" else installed.source
        local = self._local(installed.id, installed.path, source or "hub")
        entry = self._catalog.find(installed.catalog_id or "")
        return replace(
            local,
            installed=installed,
            licence=entry.licence if entry else local.licence,
            licence_url=entry.licence_url if entry else local.licence_url,
            files=tuple(
                DescribedFile(file.path, file.size, file.sha256) for file in installed.files
            ),
        )

    def _local(self, id: str, path: Path, source: str) -> LocalModel:
        from edge_llama.planning.fit import Fit
        from edge_llama.weights.gguf.model import read_model
        from edge_llama.weights.memory.model_shape import ModelShape

        model = read_model(path)
        shape = ModelShape.of_model(model)
        return LocalModel(
            id=id,
            shape=shape,
            licence=model.text("general.license.name") or model.text("general.license") or None,
            licence_url=model.text("general.license.link") or None,
            chat_template=bool(model.text("tokenizer.chat_template")),
            files=tuple(DescribedFile(part, part.stat().st_size, None) for part in model.paths),
            source=source,
            fit=Fit.of(shape, self._budget, self._speedometer),
        )

    def _available(self, model: CatalogModel, quantization: str | None) -> AvailableModel:
        from edge_llama.planning.fit import Fit

        variants = [v for v in model.variants if quantization in (None, v.quantization)]
        if quantization is not None and not variants:
            known = ", ".join(dict.fromkeys(variant.quantization for variant in model.variants))
            raise UnknownModel(f"The catalog has no {quantization} of {model.id}, only: {known}.")
        fits = (Fit.of_variant(model, v, self._budget, self._speedometer) for v in variants)
        return AvailableModel(model, tuple(zip(variants, fits, strict=True)))
