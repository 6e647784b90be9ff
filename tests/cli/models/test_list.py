from __future__ import annotations

import json
from datetime import datetime

import pytest

from edge_llama.planning import speed
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run


@pytest.fixture(autouse=True)
def _memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that reads 20 GB a second."""
    monkeypatch.setattr(speed, "_measure", lambda: 20e9)


def test_nothing_installed(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    code, out, err = run(capsys, "list")
    assert (code, out) == (0, "")
    assert "edge-llama pull MODEL" in err
    assert run(capsys, "list", "--json") == (0, "[]\n", "")


def test_an_installed_model(capsys: pytest.CaptureFixture[str], tiny: InstalledModel) -> None:
    code, out, err = run(capsys, "list")
    assert (code, err) == (0, "")
    head, row = out.splitlines()
    assert head.split() == ["model", "quantization", "size", "context", "source", "installed"]
    today = f"{datetime.now().astimezone():%Y-%m-%d}"
    assert " ".join(row.split()).endswith(f"2,048 imported, hard link {today}")


def test_an_installed_model_as_json(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel
) -> None:
    _, out, _ = run(capsys, "list", "--json")
    (model,) = json.loads(out)
    assert datetime.fromisoformat(model.pop("installed_at")).tzinfo is not None
    assert model == {
        "id": "Tiny-F32",
        "installed": True,
        "quantization": "F32",
        "bytes": tiny.size,
        "context_length": 2048,
        "path": str(tiny.path),
        "complete": True,
        "linked": "hard link",
        "source": tiny.source,
        "repository": None,
        "revision": None,
        "catalog_id": None,
    }


def test_a_model_whose_file_is_gone(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel
) -> None:
    tiny.path.unlink()
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "files are missing or cut off" in out
    assert json.loads(run(capsys, "list", "--json")[1])[0]["complete"] is False
    assert run(capsys, "list", "--all")[0] == 0


def test_the_catalog_is_measured_against_the_machine(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel
) -> None:
    code, out, err = run(capsys, "list", "--all", "--memory", "8G", "--json")
    assert (code, err) == (0, "")
    models = {model["id"]: model for model in json.loads(out)}
    assert models["Tiny-F32"]["installed"] is True
    assert models["Tiny-F32"]["fit"]["fits"] is True
    llama = models["llama-3.1-8b-instruct"]
    assert (llama["installed"], llama["quantization"]) == (False, "Q4_K_M")
    assert llama["fit"]["fits"] is True
    assert llama["fit"]["memory"] < 8e9
    assert llama["fit"]["speed_class"] == "slow"
    assert llama["fit"]["tokens_per_second_estimate"] == pytest.approx(20 / 4.92, abs=0.1)
    assert models["llama-3.2-1b-instruct"]["fit"]["speed_class"] == "fast"
    large = models["llama-3.1-70b-instruct"]
    assert (large["fit"]["fits"], large["fit"]["memory"]) == (False, None)
    assert (large["quantization"], large["fit"]["speed_class"]) == ("Q4_K_M", None)
    assert large["fit"]["refusal"]


def test_the_catalog_as_a_table(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    code, out, _ = run(capsys, "list", "--all", "--memory", "8G")
    assert code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()}
    assert rows["model"] == "quantization size here speed (estimate)"
    assert rows["llama-3.1-8b-instruct"] == "Q4_K_M 4.92 GB fits slow, 4.1 tokens/s"
    assert rows["llama-3.1-70b-instruct"].endswith(" GB too large")


def test_an_installed_model_in_the_whole_table(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel
) -> None:
    _, out, _ = run(capsys, "list", "--all", "--memory", "8G")
    demo, model = out.splitlines()[1:3]
    assert (demo.split()[0], demo.endswith("built in")) == ("demo", True)
    assert model.split()[-1] == "installed"
    _, out, _ = run(capsys, "list", "--all", "--memory", "1M")
    assert out.splitlines()[2].endswith("installed, too large")
