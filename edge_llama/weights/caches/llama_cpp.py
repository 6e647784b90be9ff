"""The folder in which llama.cpp's own programs keep what `-hf` and `-mu` downloaded."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path, PurePath

from edge_llama.weights.caches.found import Findings

APP = "llama.cpp"


def folders(home: Path, environ: Mapping[str, str]) -> list[Path]:
    """Where llama.cpp itself looks."""
    if cache := environ.get("LLAMA_CACHE"):
        return [Path(cache).expanduser()]
    if sys.platform == "darwin":
        return [home / "Library" / "Caches" / "llama.cpp"]
    if sys.platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return [(Path(local) if local else home / "AppData" / "Local") / "llama.cpp"]
    xdg_cache = environ.get("XDG_CACHE_HOME")
    return [(Path(xdg_cache) if xdg_cache else home / ".cache") / "llama.cpp"]


def search(folder: Path, findings: Findings) -> None:
    """Add every model below `folder`."""
    findings.search(folder, APP, _repository)


def _repository(folder: PurePath) -> str | None:
    return None  # its file names join owner and name with "_", which both may contain
