from __future__ import annotations

import os
import sys
from pathlib import Path, PurePath

import pytest

from edge_llama.weights.caches.found import Findings
from tests.gguf_factory import write_tiny_gguf

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def search(folder: Path) -> Findings:
    findings = Findings()
    findings.search(folder, None, lambda folder: None)
    return findings


def tiny(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_tiny_gguf(path, n_vocab=300, n_layer=1, n_embd=32)


@needs_links
def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    path = tiny(tmp_path / "a" / "b" / "tiny.gguf")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(".", target_is_directory=True)
    (tmp_path / "loop.gguf").symlink_to("loop.gguf")
    findings = search(tmp_path)
    assert [model.files[0].path for model in findings.models] == [path]
    assert findings.skipped == 1


@needs_links
def test_a_linked_folder_is_searched(tmp_path: Path) -> None:
    tiny(tmp_path / "disk" / "tiny.gguf")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "more").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert len(search(tmp_path / "models").models) == 1


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="nothing is unreadable there"
)
def test_a_folder_that_may_not_be_read_is_counted(tmp_path: Path) -> None:
    tiny(tmp_path / "closed" / "tiny.gguf")
    (tmp_path / "closed").chmod(0)
    try:
        findings = search(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert (findings.models, findings.skipped) == ([], 1)


def test_parts_belong_together_by_folder(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        for part in (1, 2):
            tiny(tmp_path / folder / f"m-Q8_0-0000{part}-of-00002.gguf")
    (tmp_path / "b" / "m-Q8_0-00002-of-00002.gguf").unlink()
    findings = search(tmp_path)
    (model,) = findings.models
    assert [file.path.parent.name for file in model.files] == ["a", "a"]
    assert model.size == sum(file.path.stat().st_size for file in model.files)
    assert findings.skipped == 1


def test_the_repository_is_that_of_the_folder(tmp_path: Path) -> None:
    tiny(tmp_path / "owner" / "name" / "tiny.gguf")
    findings = Findings()
    findings.search(tmp_path, "LM Studio", PurePath.as_posix)
    assert [model.repository for model in findings.models] == ["owner/name"]


def test_the_header_tells_the_quantization_that_the_name_does_not(tmp_path: Path) -> None:
    tiny(tmp_path / "tiny.gguf")
    assert [model.quantization for model in search(tmp_path).models] == ["F32"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_path_that_cannot_be_recorded_is_counted(tmp_path: Path) -> None:
    tiny(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf")))
    findings = search(tmp_path)
    assert (findings.models, findings.skipped) == ([], 1)
