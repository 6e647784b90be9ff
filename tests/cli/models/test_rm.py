from __future__ import annotations

import io
from pathlib import Path

import pytest

from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_model_is_removed(
    capsys: pytest.CaptureFixture[str], store: Store, tiny: InstalledModel, gguf: Path
) -> None:
    gguf.unlink()  # no other name of the same file is left
    code, out, err = run(capsys, "rm", "tiny-f32", "--yes")
    assert (code, err) == (0, "")
    assert out.startswith("Removed Tiny-F32. ")
    assert out.endswith(" kB are free again.\n")
    assert store.installed() == []
    assert not tiny.path.exists()


def test_another_programs_file_stays(
    capsys: pytest.CaptureFixture[str], store: Store, tiny: InstalledModel, gguf: Path
) -> None:
    assert run(capsys, "rm", "Tiny-F32", "--yes") == (
        0,
        "Removed Tiny-F32. Another program keeps its bytes.\n",
        "",
    )
    assert gguf.is_file()


def test_a_model_whose_file_is_gone(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel, gguf: Path
) -> None:
    gguf.unlink()
    tiny.path.unlink()
    assert run(capsys, "rm", "Tiny-F32", "--yes") == (
        0,
        "Removed Tiny-F32. 0 B are free again.\n",
        "",
    )


def test_without_a_terminal_it_wants_yes(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, out, err = run(capsys, "rm", "Tiny-F32")
    assert (code, out) == (2, "")
    assert "--yes" in err
    assert tiny.path.is_file()


@pytest.mark.parametrize(
    ("answer", "removed"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yo\n", False)],
)
def test_a_person_is_asked(
    capsys: pytest.CaptureFixture[str],
    tiny: InstalledModel,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    removed: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    code, _, err = run(capsys, "rm", "Tiny-F32")
    assert "Remove Tiny-F32 (F32;" in err
    assert " kB are deleted" in err
    assert code == (0 if removed else 1)
    assert tiny.path.exists() is not removed


def test_what_is_not_installed_cannot_be_removed(
    capsys: pytest.CaptureFixture[str], store: Store
) -> None:
    assert run(capsys, "rm", "llama-3.1-8b-instruct", "--yes") == (
        3,
        "",
        "edge-llama: 'llama-3.1-8b-instruct' is not installed. `edge-llama list` shows what is.\n",
    )
