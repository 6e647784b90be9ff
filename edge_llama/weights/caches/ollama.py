"""Ollama's models.

`manifests/REGISTRY/NAMESPACE/MODEL/TAG` is JSON; its layer of the model names the blob
`blobs/sha256-HEX`, which is a GGUF as it is.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_llama.weights.caches.found import Findings, FoundModel
from edge_llama.weights.catalog.quantization import UNKNOWN, quantization_of

APP = "Ollama"

_MODEL_LAYER = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_HUB = ("hf.co", "huggingface.co")


def folders(home: Path, environ: Mapping[str, str]) -> list[Path]:
    """The user's models and, on Linux, those of the system's service."""
    named = environ.get("OLLAMA_MODELS")
    found = [Path(named).expanduser() if named else home / ".ollama" / "models"]
    if sys.platform == "linux":
        found.append(Path("/usr/share/ollama/.ollama/models"))
    return found


def search(folder: Path, findings: Findings) -> None:
    """Add every model that a manifest names, once for each blob."""
    seen: set[str] = set()
    for manifest in sorted(folder.glob("manifests/*/*/*/*")):
        digest = _model_digest(manifest)
        if digest is None:
            findings.skipped += 1
        elif digest not in seen:
            seen.add(digest)
            _add(folder, manifest, digest, findings)
    findings.skipped += sum(1 for _ in folder.glob("blobs/sha256-*-partial"))


def _add(folder: Path, manifest: Path, digest: str, findings: Findings) -> None:
    registry, namespace, model, tag = manifest.parts[-4:]
    file = findings.file(folder / "blobs" / f"sha256-{digest}", f"{model}-{tag}.gguf", digest)
    if file is not None:
        findings.models.append(
            FoundModel(
                app=APP,
                name=_name(registry, namespace, model, tag),
                files=(file,),
                quantization=file.quantization or quantization_of(tag) or UNKNOWN,
                repository=f"{namespace}/{model}" if registry in _HUB else None,
            )
        )


def _model_digest(manifest: Path) -> str | None:
    """The blob of the weights; None if there is none, or it is no manifest."""
    try:
        content: Any = json.loads(manifest.read_bytes())
        digests = [
            layer["digest"] for layer in content["layers"] if layer["mediaType"] == _MODEL_LAYER
        ]
        match = _DIGEST.fullmatch(digests[0])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return match[1] if match else None


def _name(registry: str, namespace: str, model: str, tag: str) -> str:
    """As Ollama's own list has it: `llama3.1:8b`, `hf.co/owner/name:Q4_K_M`."""
    if registry != "registry.ollama.ai":
        return f"{registry}/{namespace}/{model}:{tag}"
    return f"{model}:{tag}" if namespace == "library" else f"{namespace}/{model}:{tag}"
