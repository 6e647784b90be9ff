"""The cache of huggingface_hub, which llama.cpp uses too.

`models--OWNER--NAME/snapshots/COMMIT/FILE` are links to `blobs/ETAG`; for large files the ETag is
the sha256. Where links cannot be made (Windows), the files are in the snapshots themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from edge_llama.weights.caches.found import Findings, FoundFile

APP = "Hugging Face"

_SHA256 = re.compile(r"[0-9a-f]{64}")


def folders(home: Path, environ: Mapping[str, str]) -> list[Path]:
    """Where the cache is, as huggingface_hub itself decides."""
    if cache := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return [Path(cache).expanduser()]
    if hf_home := environ.get("HF_HOME"):
        return [Path(hf_home).expanduser() / "hub"]
    xdg_cache = environ.get("XDG_CACHE_HOME")
    return [(Path(xdg_cache) if xdg_cache else home / ".cache") / "huggingface" / "hub"]


def search(folder: Path, findings: Findings) -> None:
    """Add every model of the cache, each file from its newest snapshot."""
    for repository in sorted(folder.glob("models--*--*")):
        _search_repository(repository, findings)


def _search_repository(folder: Path, findings: Findings) -> None:
    owner, _, name = folder.name.removeprefix("models--").partition("--")
    seen: set[str] = set()
    for snapshot in _newest_first(folder):
        files = [
            file
            for path in findings.walk(snapshot)
            if _is_new(path, seen) and (file := _file(path, snapshot, findings)) is not None
        ]
        findings.collect(files, app=APP, repository=f"{owner}/{name}", revision=snapshot.name)
    findings.skipped += sum(1 for _ in folder.glob("blobs/*.incomplete"))


def _newest_first(repository_folder: Path) -> list[Path]:
    snapshots = repository_folder.glob("snapshots/*")
    return sorted(snapshots, key=_modified, reverse=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # it may not be read, which `walk` will find out and count


def _file(path: Path, snapshot: Path, findings: Findings) -> FoundFile | None:
    blob = Path(os.path.realpath(path)).name
    sha256 = blob if _SHA256.fullmatch(blob) else None
    return findings.file(path, path.relative_to(snapshot).as_posix(), sha256)


def _is_new(path: Path, seen: set[str]) -> bool:
    blob = os.path.realpath(path)
    if blob in seen:
        return False
    seen.add(blob)
    return True
