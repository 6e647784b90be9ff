from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_llama.errors import NoLanguageModel, UnknownModel
from edge_llama.weights.caches import ollama as ollama_cache
from edge_llama.weights.caches.scan import find_at, scan
from tests.gguf_factory import write_tiny_gguf
from tests.mock_hub import gguf_bytes
from tests.weights.caches import test_huggingface as huggingface
from tests.weights.caches import test_ollama as ollama


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of a user who has no service of Ollama."""
    home = tmp_path / "home"
    monkeypatch.setattr(
        ollama_cache, "folders", lambda home, environ: [home / ".ollama" / "models"]
    )
    return home


@pytest.fixture
def gguf(tmp_path: Path) -> bytes:
    path = tmp_path / "tiny.gguf"
    return write_tiny_gguf(path, n_vocab=300, n_layer=1, n_embd=32).read_bytes()


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_every_program_is_asked(home: Path, gguf: bytes) -> None:
    huggingface.put(home / ".cache" / "huggingface" / "hub", "a.gguf", gguf)
    ollama.put(home / ".ollama" / "models", "registry.ollama.ai/library/b/1b", gguf)
    put(home / ".lmstudio" / "models" / "owner" / "name" / "c.gguf", gguf)
    put(home / "cache" / "d.gguf", gguf)
    findings = scan(home, {"LLAMA_CACHE": str(home / "cache")})
    assert [(model.app, model.name) for model in findings.models] == [
        ("Hugging Face", "someone/Tiny-GGUF/a.gguf"),
        ("Ollama", "b:1b"),
        ("LM Studio", "owner/name/c.gguf"),
        ("llama.cpp", "d.gguf"),
    ]


def test_a_file_in_two_programs_is_one_model(home: Path, gguf: bytes) -> None:
    path = put(home / ".lmstudio" / "models" / "owner" / "name" / "a.gguf", gguf)
    other = home / ".cache" / "lm-studio" / "models" / "owner" / "name" / "a.gguf"
    other.parent.mkdir(parents=True)
    other.hardlink_to(path)
    assert len(scan(home, {}).models) == 1


def test_a_folder_that_is_named_twice_is_searched_once(home: Path, gguf: bytes) -> None:
    folder = home / "models"
    put(folder / "half.gguf.part", gguf)
    environ = {"LLAMA_CACHE": str(folder)}
    put(
        home / ".lmstudio" / "settings.json",
        f'{{"downloadsFolder": "{folder.as_posix()}"}}'.encode(),
    )
    assert scan(home, environ).skipped == 1


def test_nobody_has_anything(home: Path) -> None:
    findings = scan(home, {})
    assert (findings.models, findings.skipped) == ([], 0)


def test_a_folder_that_the_user_names(tmp_path: Path, gguf: bytes) -> None:
    put(tmp_path / "models" / "a.gguf", gguf)
    put(tmp_path / "models" / "below" / "b.gguf", gguf)
    findings = find_at(tmp_path / "models")
    assert [model.name for model in findings.models] == ["a.gguf", "b.gguf"]


def test_a_projector_is_no_model(tmp_path: Path, gguf: bytes) -> None:
    path = put(tmp_path / "v" / "a-mmproj.gguf", gguf_bytes(200, kind="mmproj"))
    put(tmp_path / "v" / "a-Q8_0.gguf", gguf)
    with pytest.raises(NoLanguageModel, match=r"a projector.*Beside it: a-Q8_0.gguf"):
        find_at(path)
    names = [model.name for model in find_at(tmp_path / "v").models]
    assert names == ["a-Q8_0.gguf"]


def test_the_header_counts_more_than_a_name(tmp_path: Path, gguf: bytes) -> None:
    path = put(tmp_path / "x-lora-merged.gguf", gguf)
    assert [model.files[0].path for model in find_at(path).models] == [path]


def test_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="There is no file"):
        find_at(tmp_path / "nothing.gguf")
