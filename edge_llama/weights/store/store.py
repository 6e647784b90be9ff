"""The models on this disk.

```
<root>/<owner>/<repository>/<file>.gguf         as on the hub, split models side by side
<root>/<owner>/<repository>/<file>.gguf.json    the record, named after the first file
<root>/.incoming/<name>-<hash>/                 what is still coming, of one model
<root>/.locks/<name>-<hash>.lock                empty; held while a model is changed
```

A model is installed when its record is there. A record is written after its files and removed
before them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from edge_llama.errors import UnsafeFileName, WeightsError
from edge_llama.files.durable import changing, remove_empty, sync_folder, write_whole
from edge_llama.weights.catalog.safe_name import check_name
from edge_llama.weights.catalog.split import split_part
from edge_llama.weights.store.checksum import FileReport, check_file
from edge_llama.weights.store.locks import locked
from edge_llama.weights.store.progress import Meter, OnProgress, ignore_progress
from edge_llama.weights.store.record import InstalledModel, StoredFile, encode_record, read_record

logger = logging.getLogger(__name__)

_RECORD_SUFFIX = ".gguf.json"
_REFERENCES = "references"


class Store:
    """A folder of models. Nothing is made or opened until a method asks for it.

    Args:
        root: the folder; need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._warned: set[Path] = set()

    def installed(self) -> list[InstalledModel]:
        """All models, by id. Records that cannot be read are left out, with a warning in the log.

        Needs no network and no right to write.
        """
        models = [model for path in self._records() if (model := self._read(path))]
        return sorted(self._with_ids(models), key=lambda model: model.id)

    def find(self, name: str, quantization: str | None = None) -> InstalledModel | None:
        """The installed model that `name` means, in any case.

        Where several fit, the one with that very id, else the one that was installed first: a name
        keeps its meaning when more is installed.

        Args:
            name: an id, a catalog's id, a repository, either of these with `:QUANTIZATION`, a
                path inside a repository after `owner/name/`, or a file's name with or without
                `.gguf`.
            quantization: only models of this one.
        """
        wanted = name.casefold()
        models = sorted(self.installed(), key=lambda model: model.installed_at)
        if quantization is not None:
            same = quantization.casefold()
            models = [model for model in models if model.quantization.casefold() == same]
        exact = (model for model in models if model.id.casefold() == wanted)
        loose = (model for model in models if wanted in self._names(model))
        return next(exact, None) or next(loose, None)

    def beginning_with(self, name: str) -> list[InstalledModel]:
        """The installed models of which a name that `find` knows begins so, in any case."""
        wanted = name.casefold()
        return [
            model
            for model in self.installed()
            if any(known.startswith(wanted) for known in self._names(model))
        ]

    def installed_at(self, location: Path) -> InstalledModel | None:
        """The model whose first file is at `location`, if all of its files are there."""
        models = (model for model in self.installed() if model.path == location)
        return next((model for model in models if model.is_complete), None)

    def location(self, folder: str, path: str) -> Path:
        """Where a file from outside lies in this store, there or not.

        Args:
            folder: `owner/name` of a repository, or another relative path for other sources.
            path: inside of it, with `/`.

        Raises:
            UnsafeFileName: it would not lie below the store's folder.
        """
        return self._inside(self.root / check_name(folder) / check_name(path))

    def record_of(self, location: Path) -> Path:
        """The record of the model whose first file is at `location`."""
        if location.is_relative_to(self.root):
            return location.with_name(f"{location.name}.json")
        # A name that is not the store's own may be as long as the disk allows.
        stem = _cut(location.stem, 200)
        name = f"{stem}-{_short_hash(str(location))}{_RECORD_SUFFIX}"
        return self.root / _REFERENCES / name

    def incoming(self, location: Path) -> Path:
        """The folder for what is still coming of the model whose first file will be `location`."""
        return self._inside(self.root / ".incoming" / self._key(location) / "part").parent

    def lock(
        self, location: Path, on_wait: Callable[[], None] | None = None
    ) -> AbstractContextManager[None]:
        """Keep others from changing the model whose first file is at `location`.

        Args:
            on_wait: called a few times a second while it is changed by another; None is not to
                wait.

        Raises:
            WeightsError: on entering, if the folder cannot be written, or another changes the
                model and there is no `on_wait`.
        """

        def refuse() -> None:
            raise WeightsError(
                f"Another edge-llama is changing {location.name} now. Try again when it is done."
            )

        path = self._inside(self.root / ".locks" / f"{self._key(location)}.lock")
        return locked(path, on_wait or refuse)

    def add(
        self,
        files: Sequence[StoredFile],
        *,
        quantization: str,
        source: str,
        catalog_id: str | None = None,
        repository: str | None = None,
        revision: str | None = None,
        name: str | None = None,
    ) -> InstalledModel:
        """Record a model whose files are in their places; replaces its older record.

        Raises:
            WeightsError: the record cannot be written.
        """
        record = self.record_of(files[0].path)
        model = InstalledModel(
            id="",
            catalog_id=catalog_id,
            repository=repository,
            revision=revision,
            quantization=quantization,
            files=tuple(files),
            installed_at=datetime.now(timezone.utc),
            source=source,
            record=record,
            name=name,
        )
        with changing(self.root):
            record.parent.mkdir(parents=True, exist_ok=True)
            write_whole(record, encode_record(model, self.root))
        return next((known for known in self.installed() if known.record == record), model)

    def remove(self, model: InstalledModel) -> int:
        """Remove a model. Another program's files stay: of a hard link only our name goes.

        Returns:
            Bytes that the disk gets back.

        Raises:
            WeightsError: it cannot be removed, or is being changed.
        """
        freed = 0
        with self.lock(model.path), changing(self.root):
            model.record.unlink(missing_ok=True)
            if model.record.parent.is_dir():
                sync_folder(model.record.parent)
            for file in model.files:
                if file.linked == "reference":
                    continue
                with suppress(FileNotFoundError):
                    status = self._inside(file.path).lstat()
                    file.path.unlink()
                    freed += status.st_size if status.st_nlink == 1 else 0
            shutil.rmtree(self.incoming(model.path), ignore_errors=True)
            for folder in {model.record.parent, *(file.path.parent for file in model.files)}:
                if folder.is_relative_to(self.root):
                    remove_empty(folder, self.root)
        return freed

    def verify(
        self, model: InstalledModel, on_progress: OnProgress = ignore_progress
    ) -> list[FileReport]:
        """Read all files of a model and compare them with their records.

        Args:
            on_progress: called after every few megabytes.

        Raises:
            WeightsError: a file is there and cannot be read.
        """
        meter = Meter(model.size, model.path.name)
        meter.present(model.size)
        reports: list[FileReport] = []
        for file in model.files:

            def hashed(count: int, name: str = file.path.name) -> None:
                meter.verified(count, name)
                on_progress(meter.progress())

            try:
                reports.append(check_file(file, on_bytes=hashed))
            except OSError as error:
                raise WeightsError(
                    f"{file.path} cannot be read: {error.strerror or error}."
                ) from error
        return reports

    def _inside(self, path: Path) -> Path:
        """`path`, if no link inside the store leads out of it."""
        if not path.parent.resolve().is_relative_to(self.root.resolve()):
            raise UnsafeFileName(
                f"{path.parent} leads out of {self.root} by a symbolic link. Remove the link."
            )
        return path

    def _records(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (Path(folder, name) for name in names if _is_record(name))

    def _read(self, record: Path) -> InstalledModel | None:
        try:
            return read_record(record, self.root)
        except (WeightsError, OSError) as error:
            if record not in self._warned:
                self._warned.add(record)
                logger.warning(
                    "%s is left out, its record cannot be read: %s. Pull or import it again.",
                    record.with_suffix(""),
                    error,
                )
            return None

    def _with_ids(self, models: list[InstalledModel]) -> Iterator[InstalledModel]:
        known = Counter(id for model in models for id in set(self._ids(model)))
        for model in models:
            ids = self._ids(model)
            yield replace(model, id=next((id for id in ids if known[id] == 1), ids[-1]))

    def _ids(self, model: InstalledModel) -> list[str]:
        """What a model may be listed under, the shortest first; the last is its record's alone."""
        base = model.catalog_id or model.name or _plain_name(model.path.name)
        ids = [base, f"{base}:{model.quantization}"]
        if model.repository is not None:
            ids.append(f"{model.repository}:{model.quantization}")
        name = model.record.relative_to(self.root).as_posix()
        return [*ids, name[: -len(_RECORD_SUFFIX)]]

    def _names(self, model: InstalledModel) -> set[str]:
        names = {*self._ids(model), model.path.name, model.path.stem, _plain_name(model.path.name)}
        if model.repository is not None:
            names |= {model.repository, f"{model.repository}/{model.path.name}"}
        if model.path.is_relative_to(self.root):
            names.add(model.path.relative_to(self.root).as_posix())
        return {name.casefold() for name in names}

    def _key(self, location: Path) -> str:
        inside = location.is_relative_to(self.root)
        name = location.relative_to(self.root) if inside else location
        return f"{_cut(location.stem, 80)}-{_short_hash(name.as_posix())}"


def default_store() -> Store:
    """The user's store: `$EDGE_LLAMA_HOME/models`, else in the system's folder for user data."""
    if home := os.environ.get("EDGE_LLAMA_HOME"):
        return Store(Path(home).expanduser() / "models")
    import platformdirs

    return Store(platformdirs.user_data_path("edge-llama", appauthor=False) / "models")


def _is_record(name: str) -> bool:
    return name.lower().endswith(_RECORD_SUFFIX)


def _plain_name(file: str) -> str:
    """A file's name without `.gguf` and the numbers of a split."""
    part = split_part(file)
    return part.prefix if part else PurePosixPath(file).stem


def _cut(name: str, max_bytes: int) -> str:
    return name.encode(errors="surrogateescape")[:max_bytes].decode(errors="ignore")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]
