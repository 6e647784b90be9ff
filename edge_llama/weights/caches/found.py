"""GGUFs that are already on this disk, outside the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from edge_llama.errors import ModelFileError
from edge_llama.weights.catalog.file_kind import FileKind
from edge_llama.weights.catalog.quantization import UNKNOWN
from edge_llama.weights.catalog.split import group_variants
from edge_llama.weights.catalog.variant import WeightFile
from edge_llama.weights.gguf.file_type import kind_in, quantization_in
from edge_llama.weights.gguf.header import read_header

_HALF_DOWNLOADS = (".part", ".partial", "-partial", ".incomplete", ".downloadinprogress")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a found model.

    Attributes:
        path: where it is; may be a symbolic link.
        name: its name as a GGUF; caches keep some under a hash.
        size: bytes.
        quantization: as its header names it; None if it does not.
        sha256: lower-case hex, where the cache names the file after it; else None.
    """

    path: Path
    name: str
    size: int
    quantization: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that could be adopted.

    Attributes:
        app: whose folder it is in, e.g. `Ollama`; None for a path that the user named.
        name: how that program calls it, e.g. `llama3.1:8b`.
        files: all of its files, in the order of the split.
        quantization: as its name or its header tells, else `UNKNOWN`.
        repository: `owner/name` on the hub, where that is known.
        revision: the commit in that repository, where that is known.
    """

    app: str | None
    name: str
    files: tuple[FoundFile, ...]
    quantization: str = UNKNOWN
    repository: str | None = None
    revision: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(slots=True)
class Findings:
    """What a search brought up.

    Attributes:
        models: those that can be adopted.
        skipped: files that cannot: half downloads, broken links, files that are no language model
            or may not be read, parts of a split model that is not complete.
    """

    models: list[FoundModel] = field(default_factory=list)
    skipped: int = 0

    def file(self, path: Path, name: str, sha256: str | None = None) -> FoundFile | None:
        """The GGUF at `path`; None, and counted, if it cannot be used."""
        try:
            str(path).encode()  # what is not UTF-8 cannot be recorded
            if path.is_file() and kind_in(header := read_header(path)) is FileKind.MODEL:
                size = path.stat().st_size
                return FoundFile(path, name, size, quantization_in(header), sha256)
        except (OSError, ModelFileError, UnicodeEncodeError):
            pass  # counted below, like links that lead nowhere
        self.skipped += 1
        return None

    def collect(
        self,
        files: Iterable[FoundFile],
        *,
        app: str | None,
        repository: str | None = None,
        revision: str | None = None,
    ) -> None:
        """Add the models that `files` of one folder make up."""
        by_name = {file.name: file for file in files}
        weights = [WeightFile(file.name, file.size, file.sha256) for file in by_name.values()]
        variants = group_variants(repository or "", weights, revision)
        for variant in variants:
            parts = tuple(by_name[part.path] for part in variant.files)
            name = f"{repository}/{parts[0].name}" if repository else parts[0].name
            quantization = variant.quantization
            if quantization == UNKNOWN:
                quantization = parts[0].quantization or UNKNOWN
            self.models.append(FoundModel(app, name, parts, quantization, repository, revision))
        self.skipped += len(by_name) - sum(len(variant.files) for variant in variants)

    def search(
        self, folder: Path, app: str | None, repository_of: Callable[[PurePath], str | None]
    ) -> None:
        """Add the models below `folder`; all parts of a split one must be in the same folder.

        Args:
            repository_of: the hub's repository of a folder, which is given relative to `folder`.
        """
        by_folder: dict[Path, list[FoundFile]] = {}
        for path in self.walk(folder):
            if (file := self.file(path, path.name)) is not None:
                by_folder.setdefault(path.parent, []).append(file)
        for parent, files in by_folder.items():
            repository = repository_of(parent.relative_to(folder))
            self.collect(files, app=app, repository=repository)

    def walk(self, folder: Path) -> Iterator[Path]:
        """Every GGUF below `folder`, by folder and name; behind symbolic links too.

        A folder is read once, also when links lead back to it.
        """
        seen: set[tuple[int, int]] = set()
        for root, folders, names in os.walk(folder, followlinks=True, onerror=self._count):
            status = Path(root).stat()
            here = status.st_dev, status.st_ino
            if here in seen:
                folders.clear()
                continue
            seen.add(here)
            folders.sort()
            for name in sorted(names):
                if name.lower().endswith(".gguf"):
                    yield Path(root, name)
                elif ".gguf" in name.lower() and name.lower().endswith(_HALF_DOWNLOADS):
                    self.skipped += 1

    def _count(self, error: OSError) -> None:
        self.skipped += 1
