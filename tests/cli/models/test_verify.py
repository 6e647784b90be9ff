from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run
from tests.mock_hub import MockHub, gguf_bytes

REPOSITORY = "someone/Tiny-GGUF"


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def test_a_whole_model(capsys: pytest.CaptureFixture[str], tiny: InstalledModel) -> None:
    code, out, _ = run(capsys, "verify", "Tiny-F32")
    assert code == 0
    head, row = out.splitlines()
    assert head.split() == ["model", "file", "size", "state", "damaged", "bytes"]
    assert row.split()[:2] == ["Tiny-F32", "Tiny-F32.gguf"]
    assert row.endswith("ok")


def test_damage_has_its_own_code_and_place(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel
) -> None:
    flip(tiny.path, 1000)
    code, out, _ = run(capsys, "verify", "--json")
    assert code == 7
    (model,) = json.loads(out)
    assert (model["id"], model["ok"], model["repaired"]) == ("Tiny-F32", False, False)
    (file,) = model["files"]
    assert file == {
        "path": str(tiny.path),
        "bytes": tiny.size,
        "sha256": tiny.files[0].sha256,
        "state": "damaged",
        "damaged": [[0, tiny.size]],
    }


def test_a_file_that_is_gone(capsys: pytest.CaptureFixture[str], tiny: InstalledModel) -> None:
    tiny.path.unlink()
    code, out, _ = run(capsys, "verify")
    assert code == 7
    assert "missing" in out


def test_nothing_installed_is_no_damage(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    assert run(capsys, "verify") == (0, "", "No models are installed.\n")


def test_one_of_several_that_cannot_be_repaired_is_told(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel
) -> None:
    flip(tiny.path, 1000)
    code, out, err = run(capsys, "verify", "--repair")
    assert code == 7
    assert "damaged" in out
    assert "Remove it and import it again." in err


def test_a_pulled_model_is_repaired(
    capsys: pytest.CaptureFixture[str], store: Store, hub: MockHub
) -> None:
    hub.add(REPOSITORY, {"Tiny-Q4_K_M.gguf": gguf_bytes(1 << 20)})
    assert run(capsys, "pull", REPOSITORY)[0] == 0
    (model,) = store.installed()
    flip(model.path, 5000)
    assert run(capsys, "verify")[0] == 7
    code, out, _ = run(capsys, "verify", "--repair", "--json")
    assert code == 0
    (found,) = json.loads(out)
    assert (found["ok"], found["repaired"], found["files"][0]["state"]) == (True, True, "damaged")
    assert run(capsys, "verify")[0] == 0
