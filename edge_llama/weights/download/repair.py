"""Damaged chunks of an installed model, fetched again without the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from edge_llama.errors import ChecksumMismatch, WeightsError
from edge_llama.files.durable import changing, sync_file
from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.download.download import naming_alternatives, waiting
from edge_llama.weights.download.workers import run_jobs
from edge_llama.weights.hub.hub import Hub
from edge_llama.weights.hub.retry import TransferSettings
from edge_llama.weights.hub.transfer import RemoteFile, fetch
from edge_llama.weights.store.checksum import FileReport
from edge_llama.weights.store.progress import Meter, OnProgress, ignore_progress
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store


def repair(
    model: InstalledModel,
    store: Store,
    on_progress: OnProgress = ignore_progress,
    *,
    settings: TransferSettings = TransferSettings(),  # noqa: B008
) -> list[FileReport]:
    """Verify a model, fetch its damaged chunks from the hub, and verify it again.

    A kill leaves the chunks that were not yet fetched damaged; the next repair finds them.

    Returns:
        What was found before the repair, for each file.

    Raises:
        WeightsError: a file is missing, is shared with another program, or did not come from the
            hub; otherwise as `pull` does.
        ChecksumMismatch: it is still damaged.
    """
    with store.lock(model.path, partial(on_progress, waiting(model.path.name))):
        reports = store.verify(model, on_progress)
        damaged = [report for report in reports if report.state != "ok"]
        if not damaged:
            return reports
        _check_repairable(model, damaged)
        with naming_alternatives(store):
            _, remotes = Hub(settings).locate(_variant(model, store))
            _fetch(store, list(zip(reports, remotes, strict=True)), settings, on_progress)
        if any(report.state != "ok" for report in store.verify(model, on_progress)):
            raise ChecksumMismatch(
                f"{model.id} is still damaged after its repair; perhaps its disk fails. Remove it "
                "and pull it again."
            )
        return reports


def _check_repairable(model: InstalledModel, damaged: list[FileReport]) -> None:
    if model.repository is None or model.source != "hub":
        raise WeightsError(
            f"{model.id} is damaged and did not come from the hub. Remove it and import it again."
        )
    for report in damaged:
        if report.state == "missing":
            raise WeightsError(f"{report.file.path} is missing. Pull {model.id} again.")


def _variant(model: InstalledModel, store: Store) -> Variant:
    repository = model.repository or ""
    files = tuple(
        WeightFile(
            file.path.relative_to(store.root / repository).as_posix(), file.size, file.sha256
        )
        for file in model.files
    )
    return Variant(repository, model.quantization, files, model.revision)


def _fetch(
    store: Store,
    files: list[tuple[FileReport, RemoteFile]],
    settings: TransferSettings,
    on_progress: OnProgress,
) -> None:
    stop = threading.Event()
    ranges = [range for report, _ in files for range in _missing(report)]
    meter = Meter(sum(end - start for start, end in ranges))

    def mend(report: FileReport, remote: RemoteFile) -> None:
        with changing(store.root):
            with report.file.path.open("r+b", buffering=0) as file:
                file.truncate(remote.size)
                for start, end in _missing(report):
                    fetch(
                        remote,
                        file,
                        start,
                        end,
                        settings=settings,
                        stop=stop,
                        on_bytes=lambda count: meter.fetched(count, remote.name),
                    )
            sync_file(report.file.path)

    jobs: list[Callable[[], None]] = [
        partial(mend, report, remote) for report, remote in files if report.state != "ok"
    ]
    run_jobs(
        jobs,
        threads=settings.parallel,
        stop=stop,
        on_tick=lambda: on_progress(meter.progress()),
    )


def _missing(report: FileReport) -> list[tuple[int, int]]:
    """The damaged ranges without what a file has too much of."""
    return [(start, end) for start, end in report.damaged if start < report.file.size]
