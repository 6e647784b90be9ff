from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_llama.weights.caches import ollama
from edge_llama.weights.caches.found import Findings

MODEL = "application/vnd.ollama.image.model"


def put(folder: Path, name: str, data: bytes, **layers: bytes) -> str:
    """Add a model as Ollama keeps it; returns the sha256 of its weights."""
    entries = []
    for kind, content in {"model": data, "license": b"licence", **layers}.items():
        digest = hashlib.sha256(content).hexdigest()
        entries.append(
            {
                "mediaType": f"application/vnd.ollama.image.{kind}",
                "digest": f"sha256:{digest}",
                "size": len(content),
            }
        )
        blob = folder / "blobs" / f"sha256-{digest}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
    write_manifest(folder, name, {"schemaVersion": 2, "layers": entries})
    return hashlib.sha256(data).hexdigest()


def write_manifest(folder: Path, name: str, content: Any) -> None:
    manifest = folder / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps(content))


def search(folder: Path) -> Findings:
    findings = Findings()
    ollama.search(folder, findings)
    return findings


@pytest.mark.parametrize(
    ("manifest", "name", "repository"),
    [
        ("registry.ollama.ai/library/llama3.1/8b", "llama3.1:8b", None),
        ("registry.ollama.ai/someone/tiny/latest", "someone/tiny:latest", None),
        ("hf.co/someone/Tiny-GGUF/Q8_0", "hf.co/someone/Tiny-GGUF:Q8_0", "someone/Tiny-GGUF"),
    ],
)
def test_a_model_under_ollamas_own_name(
    tmp_path: Path, gguf: bytes, manifest: str, name: str, repository: str | None
) -> None:
    digest = put(tmp_path, manifest, gguf, projector=b"GGUF projector", adapter=b"GGUF adapter")
    findings = search(tmp_path)
    (model,) = findings.models
    assert (model.name, model.repository, model.app) == (name, repository, "Ollama")
    (file,) = model.files
    assert file.path == tmp_path / "blobs" / f"sha256-{digest}"
    assert (file.sha256, file.size) == (digest, len(gguf))
    assert file.name == "-".join(manifest.split("/")[-2:]) + ".gguf"
    assert findings.skipped == 0


def test_the_quantization_comes_from_the_header(tmp_path: Path, gguf: bytes) -> None:
    put(tmp_path, "registry.ollama.ai/library/llama3.1/8b", gguf)
    assert search(tmp_path).models[0].quantization == "F32"


def test_two_tags_of_one_blob_are_one_model(tmp_path: Path, gguf: bytes) -> None:
    for tag in ("8b", "latest"):
        put(tmp_path, f"registry.ollama.ai/library/llama3.1/{tag}", gguf)
    assert [model.name for model in search(tmp_path).models] == ["llama3.1:8b"]


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"layers": None},
        {"layers": [{}]},
        {"layers": [{"mediaType": MODEL, "digest": 7}]},
        {"layers": [{"mediaType": MODEL, "digest": "sha256:../../../etc/passwd"}]},
        {"layers": [{"mediaType": MODEL, "digest": "sha256:" + "0" * 64}]},
        {"layers": [{"mediaType": "application/vnd.ollama.image.adapter", "digest": "sha256:0"}]},
    ],
    ids=str,
)
def test_a_manifest_without_a_model_is_counted(tmp_path: Path, content: Any) -> None:
    write_manifest(tmp_path, "registry.ollama.ai/library/llama3.1/8b", content)
    findings = search(tmp_path)
    assert (findings.models, findings.skipped) == ([], 1)


def test_a_half_download_is_counted(tmp_path: Path, gguf: bytes) -> None:
    digest = put(tmp_path, "registry.ollama.ai/library/llama3.1/8b", gguf)
    (tmp_path / "blobs" / f"sha256-{digest}").unlink()
    (tmp_path / "blobs" / f"sha256-{digest}-partial").write_bytes(b"GGUF")
    (tmp_path / "blobs" / f"sha256-{digest}-partial-0").write_bytes(b"{}")
    findings = search(tmp_path)
    assert (findings.models, findings.skipped) == ([], 2)


def test_where_the_models_are() -> None:
    named = ollama.folders(Path("home"), {"OLLAMA_MODELS": "/data/ollama"})
    assert named[0] == Path("/data/ollama")
    default = ollama.folders(Path("home"), {})
    assert default[0] == Path("home/.ollama/models")
    assert (Path("/usr/share/ollama/.ollama/models") in default) == (sys.platform == "linux")
