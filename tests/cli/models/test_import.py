from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run
from tests.gguf_factory import write_tiny_gguf
from tests.weights.caches.test_adopt import write_split
from tests.weights.caches.test_ollama import put


@pytest.fixture
def ollama(tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of another program that has anything in it."""
    folder = tmp_path / "ollama"
    put(folder, "registry.ollama.ai/library/mistral/7b", gguf.read_bytes())
    for name in ("HF_HUB_CACHE", "LLAMA_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    monkeypatch.setenv("OLLAMA_MODELS", str(folder))
    return folder


def test_a_file(capsys: pytest.CaptureFixture[str], store: Store, gguf: Path) -> None:
    code, out, _ = run(capsys, "import", str(gguf))
    assert (code, out) == (0, "Imported Tiny-F32 (F32) by hard link.\n")
    (model,) = store.installed()
    assert model.path.samefile(gguf)


def test_a_file_that_is_here_already(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel, gguf: Path
) -> None:
    assert run(capsys, "import", str(gguf)) == (0, "", "1 model is already here.\n")


def test_a_folder_is_listed_first(
    capsys: pytest.CaptureFixture[str],
    store: Store,
    gguf: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_tiny_gguf(gguf.with_name("Other-Q8_0.gguf"), n_vocab=300, n_layer=1, n_embd=32, seed=2)
    gguf.with_name("half.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, out, err = run(capsys, "import", str(gguf.parent))
    assert code == 2
    assert "Tiny-F32.gguf" in out
    assert "Other-Q8_0.gguf" in out
    assert "Skipped files: 1." in err
    assert "Import 2 models, " in err
    assert store.installed() == []
    assert run(capsys, "import", str(gguf.parent), "--yes")[0] == 0
    assert [model.id for model in store.installed()] == ["Other-Q8_0", "Tiny-F32"]


def test_a_scan(capsys: pytest.CaptureFixture[str], store: Store, ollama: Path) -> None:
    code, out, err = run(capsys, "import", "--scan", "--yes")
    assert (code, err) == (0, "")
    assert "Ollama" in out
    assert out.endswith("Imported mistral-7b (F32) by hard link.\n")
    assert run(capsys, "import", "--scan", "--yes") == (0, "", "1 model is already here.\n")
    assert len(store.installed()) == 1


def test_a_scan_that_finds_nothing(
    capsys: pytest.CaptureFixture[str],
    store: Store,
    ollama: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama / "nothing"))
    assert run(capsys, "import", "--scan") == (0, "", "No models were found.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no file has such a name there")
@pytest.mark.parametrize("name", ["a\x1b[31mb.gguf", "a\nb.gguf", "a\x9bb.gguf"])
def test_a_name_does_not_command_the_terminal(
    capsys: pytest.CaptureFixture[str], store: Store, gguf: Path, name: str
) -> None:
    path = gguf.rename(gguf.with_name(name))
    broken = path.with_name(f"broken {name}")
    broken.write_bytes(b"GGUF")
    outputs = [
        run(capsys, "import", str(path)),
        run(capsys, "import", str(broken)),
        run(capsys, "serve", str(broken)),
        run(capsys, "verify"),
        run(capsys, "rm", store.installed()[0].id, "--yes"),
    ]
    assert [code for code, _, _ in outputs] == [0, 7, 7, 0, 0]
    assert outputs[0][1].startswith("Imported a\N{REPLACEMENT CHARACTER}")
    for _, out, err in outputs:
        assert (out + err).replace("\n", "").isprintable()
    assert store.installed() == []


@pytest.mark.skipif(sys.platform == "win32", reason="paths are short there")
@pytest.mark.parametrize("stem", ["m" * 240, "m" * 250, "é" * 125])
def test_a_name_as_long_as_the_disk_allows(
    capsys: pytest.CaptureFixture[str], store: Store, gguf: Path, stem: str
) -> None:
    path = gguf.rename(gguf.with_name(f"{stem}.gguf"))
    code, out, _ = run(capsys, "import", str(path))
    assert (code, out) == (0, f"Imported {stem} (F32) by reference to {path}.\n")
    (model,) = store.installed()
    assert (model.id, model.path) == (stem, path)
    assert run(capsys, "verify", stem)[0] == 0
    assert run(capsys, "rm", stem, "--yes")[0] == 0
    assert path.is_file()
    assert store.installed() == []


@pytest.mark.parametrize("arguments", [[], ["--scan", "x.gguf"]])
def test_it_wants_a_path_or_scan(
    capsys: pytest.CaptureFixture[str], store: Store, arguments: list[str]
) -> None:
    code, _, err = run(capsys, "import", *arguments)
    assert code == 2
    assert "--scan" in err


def test_what_is_no_model_is_told(
    capsys: pytest.CaptureFixture[str], store: Store, tmp_path: Path
) -> None:
    (tmp_path / "page.gguf").write_text("<html>")
    code, out, err = run(capsys, "import", str(tmp_path / "page.gguf"))
    assert (code, out) == (7, "")
    assert "is not a GGUF model" in err
    assert run(capsys, "import", str(tmp_path / "nothing.gguf"))[0] == 3


def test_one_that_fails_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], store: Store, tmp_path: Path, gguf: Path
) -> None:
    part, other = write_split(tmp_path / "split")
    part.rename(gguf.with_name("Broken-00001-of-00001.gguf"))  # its header says "of 2"
    other.unlink()
    code, out, err = run(capsys, "import", str(gguf.parent), "--yes")
    assert code == 7
    assert "Imported Tiny-F32 (F32) by hard link." in out
    assert "Broken-00001-of-00001.gguf was not imported: " in err


def test_a_copy_is_not_imported(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel, gguf: Path
) -> None:
    copy = gguf.with_name("copy.gguf")
    copy.write_bytes(gguf.read_bytes())
    code, out, _ = run(capsys, "import", str(copy))
    assert (code, out) == (0, "Tiny-F32 (F32) is already installed, with the same content.\n")


def test_json(capsys: pytest.CaptureFixture[str], store: Store, gguf: Path) -> None:
    code, out, _ = run(capsys, "import", str(gguf.parent), "--yes", "--json")
    (model,) = json.loads(out)
    assert (code, model["id"], model["linked"]) == (0, "Tiny-F32", "hard link")
    assert run(capsys, "import", str(gguf), "--json")[1] == "[]\n"
