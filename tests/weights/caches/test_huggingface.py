from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from edge_llama.weights.caches import huggingface
from edge_llama.weights.caches.found import Findings

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "fedcba9876543210fedcba9876543210fedcba98"

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def put(cache: Path, name: str, data: bytes, *, commit: str = COMMIT, sha256: str = "") -> Path:
    """Add a file to the cache as huggingface_hub does; returns its place in the snapshot."""
    repository = cache / "models--someone--Tiny-GGUF"
    blob = repository / "blobs" / (sha256 or hashlib.sha256(data).hexdigest())
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    path = repository / "snapshots" / commit / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(blob, path.parent))
    return path


def search(cache: Path) -> Findings:
    findings = Findings()
    huggingface.search(cache, findings)
    return findings


@needs_links
def test_a_model_with_its_repository_commit_and_sha256(tmp_path: Path, gguf: bytes) -> None:
    path = put(tmp_path, "Tiny-Q4_K_M.gguf", gguf)
    findings = search(tmp_path)
    (model,) = findings.models
    assert (model.repository, model.revision) == ("someone/Tiny-GGUF", COMMIT)
    assert (model.name, model.quantization) == ("someone/Tiny-GGUF/Tiny-Q4_K_M.gguf", "Q4_K_M")
    (file,) = model.files
    assert (file.path, file.size) == (path, len(gguf))
    assert file.sha256 == hashlib.sha256(gguf).hexdigest()
    assert findings.skipped == 0


@needs_links
def test_a_blob_in_two_snapshots_is_one_model_of_the_newer(tmp_path: Path, gguf: bytes) -> None:
    put(tmp_path, "tiny.gguf", gguf)
    put(tmp_path, "tiny.gguf", gguf, commit=NEWER)
    os.utime(tmp_path / "models--someone--Tiny-GGUF" / "snapshots" / COMMIT, (1, 1))
    (model,) = search(tmp_path).models
    assert model.revision == NEWER


@needs_links
def test_a_split_model_in_a_folder(tmp_path: Path, gguf: bytes) -> None:
    for part in (2, 1):
        put(tmp_path, f"Q8_0/Tiny-Q8_0-0000{part}-of-00002.gguf", gguf + bytes(part))
    (model,) = search(tmp_path).models
    assert [file.name for file in model.files] == [
        "Q8_0/Tiny-Q8_0-00001-of-00002.gguf",
        "Q8_0/Tiny-Q8_0-00002-of-00002.gguf",
    ]


@needs_links
def test_what_cannot_be_used_is_counted(tmp_path: Path, gguf: bytes) -> None:
    put(tmp_path, "page.gguf", b"<html>")
    put(tmp_path, "half.gguf", gguf[: len(gguf) // 2])
    put(tmp_path, "Tiny-00001-of-00002.gguf", gguf)
    put(tmp_path, "README.md", b"not counted")
    gone = put(tmp_path, "gone.gguf", b"GGUF")
    gone.resolve().unlink()
    gone.parents[2].joinpath("blobs", "abc.incomplete").write_bytes(b"GG")
    findings = search(tmp_path)
    assert (findings.models, findings.skipped) == ([], 5)


def test_files_without_links_have_no_known_sha256(tmp_path: Path, gguf: bytes) -> None:
    path = tmp_path / "models--someone--Tiny" / "snapshots" / COMMIT / "tiny.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(gguf)
    (model,) = search(tmp_path).models
    assert model.files[0].sha256 is None


@needs_links
def test_a_name_that_is_no_sha256_is_not_taken_for_one(tmp_path: Path, gguf: bytes) -> None:
    put(tmp_path, "tiny.gguf", gguf, sha256="a" * 40)
    (model,) = search(tmp_path).models
    assert model.files[0].sha256 is None


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({}, "home/.cache/huggingface/hub"),
        ({"HF_HOME": "/data/hf"}, "/data/hf/hub"),
        ({"HF_HOME": "/data/hf", "HF_HUB_CACHE": "/cache"}, "/cache"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/huggingface/hub"),
    ],
)
def test_where_the_cache_is(environ: dict[str, str], folder: str) -> None:
    assert huggingface.folders(Path("home"), environ) == [Path(folder)]


def test_no_cache_is_no_model(tmp_path: Path) -> None:
    assert search(tmp_path / "nothing") == Findings()
