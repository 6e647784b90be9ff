"""What is kept of an installed model: a JSON file beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from edge_llama.errors import WeightsError
from edge_llama.files.hash import CHUNK_SIZE
from edge_llama.weights.catalog.safe_name import check_name

VERSION = 1
"""Of the format of the records. A record of a later one is not read."""

Linked: TypeAlias = Literal["copy", "hard link", "reference"]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of an installed model.

    Attributes:
        path: absolute.
        size: bytes.
        sha256: lower-case hex.
        chunk_sha256: of each `chunk_size` bytes; empty if they were not hashed.
        chunk_size: bytes.
        linked: `copy` is the store's own, `hard link` shares its bytes with another program's
            file, `reference` is another program's file where that has it.
    """

    path: Path
    size: int
    sha256: str
    chunk_sha256: tuple[str, ...] = ()
    chunk_size: int = CHUNK_SIZE
    linked: Linked = "copy"


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that can be run without a network.

    Attributes:
        id: what it is listed and served under; no other installed model has it.
        catalog_id: the catalog's name of it; None if it is not from there.
        repository: `owner/name` on the hub; None if it is not known to be there.
        revision: the commit in that repository.
        quantization: as llama.cpp names it.
        files: in the order of the split.
        installed_at: with a time zone.
        source: where it came from: `hub`, an address, or `import: /path`.
        record: the file that says all this.
        name: what it is called without a `catalog_id`; None is to take its first file's name.
    """

    id: str
    catalog_id: str | None
    repository: str | None
    revision: str | None
    quantization: str
    files: tuple[StoredFile, ...]
    installed_at: datetime
    source: str
    record: Path
    name: str | None = None

    @property
    def path(self) -> Path:
        """The first file: what llama.cpp opens."""
        return self.files[0].path

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def is_complete(self) -> bool:
        """Whether all files are there with their sizes. (`Store.verify` reads them.)"""
        try:
            return all(file.path.stat().st_size == file.size for file in self.files)
        except OSError:
            return False


class _File(msgspec.Struct, kw_only=True, omit_defaults=True):
    path: str  # below the store's folder, with `/`; absolute for a reference
    size: int
    sha256: str
    chunk_size: int
    chunk_sha256: tuple[str, ...]
    linked: Linked = "copy"


class _Record(msgspec.Struct, kw_only=True):
    version: int
    catalog_id: str | None
    repository: str | None
    revision: str | None
    quantization: str
    source: str
    installed_at: Annotated[datetime, msgspec.Meta(tz=True)]
    files: tuple[_File, ...]
    name: str | None = None


class _Version(msgspec.Struct):
    version: int


def encode_record(model: InstalledModel, root: Path) -> bytes:
    """The JSON of a model whose own files are below `root`."""
    record = _Record(
        version=VERSION,
        catalog_id=model.catalog_id,
        repository=model.repository,
        revision=model.revision,
        quantization=model.quantization,
        source=model.source,
        installed_at=model.installed_at,
        files=tuple(
            _File(
                path=str(file.path)
                if file.linked == "reference"
                else file.path.relative_to(root).as_posix(),
                size=file.size,
                sha256=file.sha256,
                chunk_size=file.chunk_size,
                chunk_sha256=file.chunk_sha256,
                linked=file.linked,
            )
            for file in model.files
        ),
        name=model.name,
    )
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def read_record(path: Path, root: Path) -> InstalledModel:
    """Read a record; the model's `id` is left empty.

    Raises:
        WeightsError: it is damaged, of a later version, or names files outside of `root`.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    try:
        version = msgspec.json.decode(content, type=_Version).version
        if version > VERSION:
            raise WeightsError("it was written by a later version of edge-llama")
        record = msgspec.json.decode(content, type=_Record)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WeightsError(str(error)) from error
    if not record.files:
        raise WeightsError("it names no files")
    return InstalledModel(
        id="",
        catalog_id=record.catalog_id,
        repository=record.repository,
        revision=record.revision,
        quantization=record.quantization,
        files=tuple(_stored_file(file, root) for file in record.files),
        installed_at=record.installed_at,
        source=record.source,
        record=path,
        name=record.name,
    )


def _stored_file(file: _File, root: Path) -> StoredFile:
    path = Path(file.path) if file.linked == "reference" else root / check_name(file.path)
    if not path.is_absolute() or file.chunk_size <= 0:
        raise WeightsError("it has a value that makes no sense")
    return StoredFile(
        path=path,
        size=file.size,
        sha256=file.sha256,
        chunk_sha256=file.chunk_sha256,
        chunk_size=file.chunk_size,
        linked=file.linked,
    )
