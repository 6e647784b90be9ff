"""LM Studio's models: GGUFs under their own names, in `PUBLISHER/REPOSITORY/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from edge_llama.weights.caches.found import Findings

APP = "LM Studio"


def folders(home: Path, environ: Mapping[str, str]) -> list[Path]:
    """The default folders, and the one that its settings name."""
    app_home = _app_home(home)
    candidates = [app_home / "models", home / ".cache" / "lm-studio" / "models"]
    if (chosen := _downloads_folder(app_home / "settings.json")) is not None:
        candidates.append(chosen)
    return candidates


def search(folder: Path, findings: Findings) -> None:
    """Add every model below `folder`."""
    findings.search(folder, APP, _repository)


def _repository(folder: PurePath) -> str | None:
    return folder.as_posix() if len(folder.parts) == 2 else None


def _app_home(home: Path) -> Path:
    default = home / ".lmstudio"
    try:
        pointer = (home / ".lmstudio-home-pointer").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return default
    return Path(pointer) if pointer and Path(pointer).is_dir() else default


def _downloads_folder(settings: Path) -> Path | None:
    try:
        content: Any = json.loads(settings.read_bytes())
        chosen = content["downloadsFolder"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return Path(chosen) if isinstance(chosen, str) and chosen else None
