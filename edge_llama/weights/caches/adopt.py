"""Adopting models that are already on this disk: by hard link or by reference, never by a copy."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from edge_llama.errors import UnsafeFileName, WeightsError
from edge_llama.files.durable import remove_empty, sync_folder
from edge_llama.files.hash import CHUNK_SIZE, hash_file
from edge_llama.weights.caches.found import FoundFile, FoundModel
from edge_llama.weights.catalog.catalog import Catalog, CatalogModel
from edge_llama.weights.catalog.quantization import parse_quantization
from edge_llama.weights.catalog.split import split_part
from edge_llama.weights.catalog.variant import Variant
from edge_llama.weights.gguf.model import read_model
from edge_llama.weights.store.progress import Meter, OnProgress, ignore_progress
from edge_llama.weights.store.record import InstalledModel, Linked, StoredFile
from edge_llama.weights.store.store import Store

IMPORTED = "imported"
"""The store's folder for files of which no repository is known."""


def adopt(
    found: FoundModel, store: Store, catalog: Catalog, on_progress: OnProgress = ignore_progress
) -> InstalledModel:
    """Add a model to the store without copying it.

    Its files are hard-linked into the store if they are this user's and on the same file system:
    then they stay when the other program removes its own. Else they are used where they are. What
    is installed with the same content is returned as it is.

    Args:
        on_progress: called while files are read whose sha256 is not known.

    Raises:
        ModelFileError: a file is missing, cut off or no model that can be run.
        WeightsError: a file cannot be read, or the store cannot be written.
    """
    read_model(found.files[0].path)
    files = _hashed(found, on_progress)
    if (same := _with_content(files, store.installed())) is not None:
        return same
    known = _from_catalog(files, catalog)
    model, variant = known or (_called(found, catalog), None)
    repository = variant.repository if variant else found.repository
    names = [file.path for file in variant.files] if variant else [f.name for f in found.files]
    return store.add(
        _hard_linked(files, names, repository or IMPORTED, store) or files,
        quantization=variant.quantization if variant else found.quantization,
        source=f"import: {found.files[0].path}",
        catalog_id=model.id if model else None,
        repository=repository,
        revision=variant.revision if variant else found.revision,
        name=None if model else _plain_name(found.files[0].name),
    )


def adopted(found: FoundModel, installed: list[InstalledModel]) -> InstalledModel | None:
    """The installed model that is made of the very files of `found`."""
    for model in installed:
        if len(found.files) == len(model.files):
            pairs = zip(found.files, model.files, strict=True)
            if all(_is_same_file(theirs.path, ours.path) for theirs, ours in pairs):
                return model
    return None


def _with_content(
    files: list[StoredFile], installed: list[InstalledModel]
) -> InstalledModel | None:
    wanted = [file.sha256 for file in files]
    for model in installed:
        if model.is_complete and [file.sha256 for file in model.files] == wanted:
            return model
    return None


def _hashed(found: FoundModel, on_progress: OnProgress) -> list[StoredFile]:
    """The files where they are; those of unknown sha256 are read."""
    meter = Meter(found.size)
    meter.present(found.size)
    return [_stored(file, meter, on_progress) for file in found.files]


def _stored(file: FoundFile, meter: Meter, on_progress: OnProgress) -> StoredFile:
    if file.sha256 is not None:
        meter.verified(file.size, file.name)
        return _reference(file, file.sha256, ())

    def read(count: int) -> None:
        meter.verified(count, file.name)
        on_progress(meter.progress())

    try:
        content = hash_file(file.path, on_bytes=read)
    except OSError as error:
        raise WeightsError(f"{file.path} cannot be read: {error.strerror or error}.") from error
    return _reference(file, content.sha256, content.chunk_sha256)


def _reference(file: FoundFile, sha256: str, chunk_sha256: tuple[str, ...]) -> StoredFile:
    linked: Linked = "reference"
    return StoredFile(file.path, file.size, sha256, chunk_sha256, CHUNK_SIZE, linked)


def _from_catalog(files: list[StoredFile], catalog: Catalog) -> tuple[CatalogModel, Variant] | None:
    """The catalog's model and variant that have these very bytes."""
    wanted = [file.sha256 for file in files]
    for model in catalog.models:
        for variant in model.variants:
            if [file.sha256 for file in variant.files] == wanted:
                return model, variant
    return None


def _called(found: FoundModel, catalog: Catalog) -> CatalogModel | None:
    """The catalog's model that the other program means by its name for `found`."""
    if found.repository is None:
        # Some of Ollama's tags end with a quantization: llama3.1:8b-instruct-q5_K_M.
        head, _, tail = found.name.rpartition("-")
        return catalog.find(head if parse_quantization(tail) else found.name)
    for model in catalog.models:
        if any(repository.name == found.repository for repository in model.repositories):
            return model
    return None


def _hard_linked(
    files: list[StoredFile], names: list[str], folder: str, store: Store
) -> list[StoredFile] | None:
    """The files under names of their own in the store; None if that cannot be done for all."""
    try:
        targets = [store.location(folder, name) for name in names]
    except UnsafeFileName:
        return None
    # A file of another user could be changed or emptied by them at any time.
    sources = [Path(os.path.realpath(file.path)) for file in files]
    if not all(_is_ours(source) for source in sources):
        return None
    with store.lock(targets[0]):
        made: list[Path] = []
        try:
            for source, target in zip(sources, targets, strict=True):
                if not _is_same_file(source, target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.hardlink_to(source)
                    made.append(target)
            sync_folder(targets[0].parent)
        except OSError:
            # The name is taken, it is another file system, or one without hard links.
            for target in made:
                target.unlink()
            remove_empty(targets[0].parent, store.root)
            return None
    return [
        StoredFile(target, file.size, file.sha256, file.chunk_sha256, file.chunk_size, "hard link")
        for file, target in zip(files, targets, strict=True)
    ]


def _is_ours(path: Path) -> bool:
    # Windows has no such ids; its links need no more than the right to write to the file.
    return not hasattr(os, "geteuid") or path.stat().st_uid == os.geteuid()


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _plain_name(file: str) -> str:
    part = split_part(file)
    return PurePosixPath(part.prefix if part else file.removesuffix(".gguf")).name
