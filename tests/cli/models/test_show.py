from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_llama.planning import speed
from edge_llama.weights.demo import bundled_model
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run
from tests.gguf_factory import write_tiny_gguf


@pytest.fixture(autouse=True)
def _memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that reads 20 GB a second."""
    monkeypatch.setattr(speed, "_measure", lambda: 20e9)


def facts(out: str) -> dict[str, str]:
    """The lines of a name and a value; further lines of a value are joined to it."""
    found: dict[str, str] = {}
    name = ""
    for line in out.splitlines():
        head, _, value = line.partition("  ")
        name = head or name
        found[name] = f"{found.get(name, '')} {value.strip()}".strip()
    return found


def test_an_installed_model(capsys: pytest.CaptureFixture[str], tiny: InstalledModel) -> None:
    code, out, err = run(capsys, "show", "tiny-f32")
    assert (code, err) == (0, "")
    shown = facts(out)
    assert shown["model"] == "Tiny-F32"
    assert (shown["architecture"], shown["quantization"]) == ("llama", "F32")
    assert (shown["context"], shown["layers"]) == ("2,048 tokens", "1")
    assert shown["heads"] == "1, and 1 of keys and values"
    assert shown["vocabulary"] == "300 tokens"
    assert shown["KV cache"] == f"{2 * 32 * 2:,} bytes a token at f16"
    assert shown["chat template"] == "none in the file"
    assert shown["licence"] == "not told"
    assert shown["source"] == tiny.source
    assert tiny.files[0].sha256 in shown["files"]
    assert "KV cache" in shown["memory"]
    assert "tokens/s" not in out  # too small for an estimate


def test_an_installed_model_as_json(
    capsys: pytest.CaptureFixture[str], tiny: InstalledModel
) -> None:
    code, out, _ = run(capsys, "show", "Tiny-F32", "--json")
    shown = json.loads(out)
    fit = shown.pop("fit")
    assert fit["fits"] is True
    assert fit["memory"] >= shown["bytes"] == tiny.size
    assert shown.pop("parameters") > 10_000
    assert code == 0
    assert shown == {
        "id": "Tiny-F32",
        "name": "tiny (random weights)",
        "installed": True,
        "local": True,
        "context_length": 2048,
        "layers": 1,
        "heads": 1,
        "kv_heads": 1,
        "vocabulary": 300,
        "kv_bytes_per_token": 128,
        "licence": None,
        "licence_url": None,
        "architecture": "llama",
        "quantization": "F32",
        "bytes": tiny.size,
        "chat_template": False,
        "source": tiny.source,
        "files": [{"path": str(tiny.path), "bytes": tiny.size, "sha256": tiny.files[0].sha256}],
    }


def test_the_demo(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    code, out, _ = run(capsys, "show", "demo")
    shown = facts(out)
    assert (code, shown["model"], shown["source"]) == (0, "demo", "comes with edge-llama")
    assert str(bundled_model()) in shown["files"]


def test_a_path(capsys: pytest.CaptureFixture[str], store: Store, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "mine.gguf", n_vocab=300, chat_template="{{ messages }}")
    code, out, _ = run(capsys, "show", str(path), "--json")
    shown = json.loads(out)
    assert (code, shown["id"], shown["installed"], shown["local"]) == (0, "mine", False, True)
    assert shown["chat_template"] is True
    assert shown["files"][0]["sha256"] is None


def test_a_model_of_the_catalog(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    code, out, err = run(capsys, "show", "llama3.1:8b", "--memory", "8G")
    assert (code, err) == (0, "")
    about, variants, *_ = out.split("\n\n")
    shown = facts(about)
    assert (shown["model"], shown["name"]) == ("llama-3.1-8b-instruct", "Llama 3.1 8B Instruct")
    assert (shown["parameters"], shown["context"]) == ("8.03 billion", "131,072 tokens")
    assert "Llama 3.1 Community License https://" in shown["licence"]
    rows = [line.split() for line in variants.splitlines()]
    assert ["Q4_K_M", "4.92", "GB", "fits"] in [row[:4] for row in rows]
    assert out.endswith("Not installed. To install it: edge-llama pull llama-3.1-8b-instruct\n")


def test_a_model_of_the_catalog_as_json(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    code, out, _ = run(capsys, "show", "llama-3.1-8b-instruct", "--memory", "8G", "--json")
    shown = json.loads(out)
    assert (code, shown["installed"], shown["local"]) == (0, False, False)
    assert shown["kv_bytes_per_token"] == 131_072
    fits = {variant["quantization"]: variant["fit"]["fits"] for variant in shown["variants"]}
    assert fits["Q4_K_M"] is True
    assert fits["Q8_0"] is False


def test_one_quantization_of_the_catalog(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    _, out, _ = run(capsys, "show", "llama-3.1-8b-instruct:Q8_0", "--json")
    assert {each["quantization"] for each in json.loads(out)["variants"]} == {"Q8_0"}
    code, _, err = run(capsys, "show", "llama-3.1-8b-instruct:F32")
    assert code == 3
    assert "Q4_K_M" in err


@pytest.mark.parametrize("name", ["nonsense", "someone/Unknown-GGUF"])
def test_what_is_nowhere(capsys: pytest.CaptureFixture[str], store: Store, name: str) -> None:
    code, out, err = run(capsys, "show", name)
    assert (code, out) == (3, "")
    assert name in err
