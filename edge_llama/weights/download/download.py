"""From the hub, or any https address, into the store.

Partial files lie in `.incoming`, named after the content they will have. A later pull of the same
model goes on with those that still fit and removes the others, so that no model has more than one
set of them; what was given up stays until that model is pulled or removed.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_llama.errors import (
    ChecksumMismatch,
    HubUnavailable,
    ModelFileError,
    NoLanguageModel,
    NotEnoughSpace,
    WeightsError,
)
from edge_llama.files.durable import changing, move_whole, remove_empty, sync_file
from edge_llama.files.hash import FileHash, hash_file
from edge_llama.units import format_size
from edge_llama.weights.catalog.variant import Variant
from edge_llama.weights.demo import DEMO
from edge_llama.weights.download.workers import run_jobs
from edge_llama.weights.gguf.file_type import see_that_it_is_a_model
from edge_llama.weights.gguf.header import check_header, read_header
from edge_llama.weights.hub.hub import Hub
from edge_llama.weights.hub.retry import Stopped, TransferSettings
from edge_llama.weights.hub.transfer import RemoteFile, fetch
from edge_llama.weights.store.progress import Meter, OnProgress, Progress, ignore_progress
from edge_llama.weights.store.record import InstalledModel, StoredFile
from edge_llama.weights.store.store import Store

if TYPE_CHECKING:
    from edge_llama.weights.catalog.catalog import CatalogModel


def pull(
    variant: Variant,
    store: Store,
    *,
    model: CatalogModel | None = None,
    on_progress: OnProgress = ignore_progress,
    settings: TransferSettings = TransferSettings(),  # noqa: B008
) -> InstalledModel:
    """Download a model from the hub, verify it and install it; no more than what is missing.

    What is installed as `variant` says is returned without a connection. Two pulls of the same
    model make one download, and both return it. After a kill, the next pull goes on.

    Args:
        model: the catalog's entry that `variant` is of.
        on_progress: called in this thread a few times a second.

    Raises:
        UnsafeFileName: a name would leave the store; nothing was asked for.
        UnknownModel: the hub does not have it.
        GatedRepository: the hub wants an accepted licence and a token.
        HubUnavailable: no network, or the hub failed too often.
        NotEnoughSpace: the disk is too full; with the numbers, before the first byte.
        ChecksumMismatch: what came twice was not what it should be; it was removed.
        NoLanguageModel: the header says so; it was removed. The text names the repository's models.
        WeightsError: the store cannot be written, or the file is not a GGUF.
    """
    targets = [store.location(variant.repository, file.path) for file in variant.files]

    def installed() -> InstalledModel | None:
        return next((found for found in store.installed() if _is_same(found, variant)), None)

    if (found := installed()) is not None:
        return found
    with store.lock(targets[0], partial(on_progress, waiting(variant.files[0].path))):
        if (found := installed()) is not None:
            return found
        with naming_alternatives(store):
            revision, remotes = Hub(settings).locate(variant)
            download = Download(store, remotes, targets, settings)
            try:
                files = download.run(on_progress)
            except NoLanguageModel as error:
                raise NoLanguageModel(f"{error} {Hub(settings).instead_of(variant)}") from error
        return store.add(
            files,
            quantization=variant.quantization,
            source="hub",
            catalog_id=model.id if model is not None else None,
            repository=variant.repository,
            revision=revision,
        )


class Download:
    """The files of one model on their way into the store. The store's lock is held.

    Args:
        remotes: the files, in the order of the split.
        targets: where in the store they will be.
    """

    def __init__(
        self,
        store: Store,
        remotes: Sequence[RemoteFile],
        targets: Sequence[Path],
        settings: TransferSettings,
    ) -> None:
        self._store = store
        self._settings = settings
        self._stop = threading.Event()
        self._staging = store.incoming(targets[0])
        self._parts = [
            _Part(remote, target, self._staging / _part_name(remote))
            for remote, target in zip(remotes, targets, strict=True)
        ]
        self._meter = Meter(sum(remote.size for remote in remotes), remotes[0].name)

    def run(self, on_progress: OnProgress) -> list[StoredFile]:
        """Download what is missing, verify all, and give the files their names."""
        try:
            with changing(self._store.root):
                self._prepare()
                self._check_space()
            files = run_jobs(
                [partial(self._complete, part) for part in self._parts],
                threads=self._settings.parallel,
                stop=self._stop,
                on_tick=lambda: on_progress(self._meter.progress()),
            )
            with changing(self._store.root):
                self._publish()
        except NotEnoughSpace:
            shutil.rmtree(self._staging, ignore_errors=True)
            raise
        finally:
            self._tidy()
        return files

    def _prepare(self) -> None:
        """Make the folder; remove partial files of other contents."""
        self._staging.mkdir(parents=True, exist_ok=True)
        expected = {part.staged for part in self._parts}
        for path in self._staging.iterdir():
            if path not in expected or path.is_symlink() or not path.is_file():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _publish(self) -> None:
        for part in self._parts:
            if part.staged.exists():
                part.target.parent.mkdir(parents=True, exist_ok=True)
                move_whole(part.staged, part.target)

    def _tidy(self) -> None:
        """Leave nothing in `.incoming` but what a later pull can go on with."""
        with suppress(OSError):
            for part in self._parts:
                if part.staged.exists() and part.staged.stat().st_size == 0:
                    part.staged.unlink()
        remove_empty(self._staging, self._staging.parent)

    def _check_space(self) -> None:
        missing = sum(part.missing for part in self._parts)
        free = shutil.disk_usage(self._staging).free
        if missing > free:
            raise NotEnoughSpace(
                f"The disk of {self._store.root} is too full: {format_size(missing)} are to be "
                f"downloaded and {format_size(free)} are free. Free {format_size(missing - free)}, "
                "or set EDGE_LLAMA_HOME to a folder on another disk."
            )

    def _complete(self, part: _Part) -> StoredFile:
        """Bring one file to its place in `.incoming`, verified."""
        if part.is_in_place and (stored := self._adopted(part)) is not None:
            return stored
        for _ in range(2):
            self._fetch(part)
            found = self._hashed(part, part.staged)
            if part.remote.sha256 in (None, found.sha256):
                return self._checked(part, found)
            with changing(self._store.root):
                part.staged.unlink()
            self._meter.present(-part.remote.size)
            self._meter.verified(-part.remote.size, part.remote.name)
        raise ChecksumMismatch(
            f"{part.remote.name} was downloaded twice and was damaged both times: its sha256 is "
            f"{found.sha256}, not {part.remote.sha256}. It was removed. Try another network, or "
            "without a proxy."
        )

    def _adopted(self, part: _Part) -> StoredFile | None:
        """The file in its place, which a crash has left without a record; None if it is bad."""
        self._meter.present(part.remote.size)
        found = self._hashed(part, part.target)
        if found.sha256 == part.remote.sha256:
            return _stored(part.target, found)
        self._meter.present(-part.remote.size)
        self._meter.verified(-part.remote.size, part.remote.name)
        return None

    def _fetch(self, part: _Part) -> None:
        remote = part.remote
        with changing(self._store.root):
            with part.staged.open("ab", buffering=0) as file:
                if (arrived := file.tell()) > remote.size:
                    arrived = file.truncate(0)
                self._meter.present(arrived)
                fetch(
                    remote,
                    file,
                    arrived,
                    remote.size,
                    settings=self._settings,
                    stop=self._stop,
                    on_bytes=lambda count: self._meter.fetched(count, remote.name),
                )
            sync_file(part.staged)

    def _hashed(self, part: _Part, path: Path) -> FileHash:
        def hashed(count: int) -> None:
            if self._stop.is_set():
                raise Stopped
            self._meter.verified(count, part.remote.name)

        with changing(self._store.root):
            return hash_file(path, on_bytes=hashed)

    def _checked(self, part: _Part, found: FileHash) -> StoredFile:
        try:
            self._check_header(part)
        except NoLanguageModel:
            with changing(self._store.root):
                part.staged.unlink()
            raise
        except ModelFileError as error:
            with changing(self._store.root):
                part.staged.unlink()
            raise WeightsError(
                f"{part.remote.name} is what its server has, but no model that can be run: {error}"
            ) from error
        return _stored(part.target, found)

    def _check_header(self, part: _Part) -> None:
        check_header(part.staged)
        try:
            header = read_header(part.staged)
        except ModelFileError:
            # Without a checksum, the header is what tells a file that is cut off. With one, what
            # this version cannot read is the right file all the same.
            if part.remote.sha256 is None:
                raise
        else:
            see_that_it_is_a_model(part.target, header)


@dataclass(frozen=True, slots=True)
class _Part:
    """One file: where it comes from, where it will be, where it is meanwhile."""

    remote: RemoteFile
    target: Path
    staged: Path

    @property
    def is_in_place(self) -> bool:
        """Whether a file of the right size and a known sha256 has the name already."""
        return (
            self.remote.sha256 is not None
            and self.target.is_file()
            and not self.target.is_symlink()
            and self.target.stat().st_size == self.remote.size
        )

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        if self.is_in_place:
            return 0
        arrived = self.staged.stat().st_size if self.staged.exists() else 0
        return self.remote.size - arrived if arrived <= self.remote.size else self.remote.size


def _is_same(installed: InstalledModel, variant: Variant) -> bool:
    """Whether what is installed is what `variant` says, as far as it says anything."""
    pairs = list(zip(installed.files, variant.files, strict=False))
    if not len(pairs) == len(installed.files) == len(variant.files) or not installed.is_complete:
        return False
    if all(want.sha256 is not None for _, want in pairs):
        return all(have.sha256 == want.sha256 for have, want in pairs)
    return (
        installed.repository == variant.repository
        and variant.revision in (None, installed.revision)
        and all(have.path.as_posix().endswith(f"/{want.path}") for have, want in pairs)
    )


@contextmanager
def naming_alternatives(store: Store) -> Iterator[None]:
    """Add to the news that there is no network what runs without one."""
    try:
        yield
    except HubUnavailable as error:
        names = ", ".join([DEMO, *(m.id for m in store.installed() if m.is_complete)])
        raise HubUnavailable(f"{error} Models that run without a network: {names}.") from error


def waiting(file: str) -> Progress:
    """The progress while another process pulls the same model."""
    return Progress("wait", 0, 0, 0.0, None, file)


def _stored(path: Path, found: FileHash) -> StoredFile:
    return StoredFile(path, found.size, found.sha256, found.chunk_sha256)


def _part_name(remote: RemoteFile) -> str:
    identity = hashlib.sha256(remote.identity.encode()).hexdigest()[:12]
    return f"{Path(remote.name).name}.{identity}.part"
