from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_llama.weights.caches import llama_cpp
from edge_llama.weights.caches.found import Findings


def test_a_model_and_a_half_download(tmp_path: Path, gguf: bytes) -> None:
    name = "someone_Tiny-GGUF_Tiny-Q4_K_M.gguf"
    (tmp_path / name).write_bytes(gguf)
    (tmp_path / f"{name}.json").write_text("{}")
    (tmp_path / "other.gguf.downloadInProgress").write_bytes(gguf[:100])
    findings = Findings()
    llama_cpp.search(tmp_path, findings)
    (model,) = findings.models
    assert (model.app, model.name, model.quantization) == ("llama.cpp", name, "Q4_K_M")
    assert (model.repository, findings.skipped) == (None, 1)


def test_its_variable_names_the_folder() -> None:
    assert llama_cpp.folders(Path("home"), {"LLAMA_CACHE": "/cache"}) == [Path("/cache")]


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {}, "home/.cache/llama.cpp"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/llama.cpp"),
        ("darwin", {}, "home/Library/Caches/llama.cpp"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/llama.cpp"),
        ("win32", {}, "home/AppData/Local/llama.cpp"),
    ],
)
def test_the_default_folder(
    monkeypatch: pytest.MonkeyPatch, platform: str, environ: dict[str, str], folder: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert llama_cpp.folders(Path("home"), environ) == [Path(folder)]
