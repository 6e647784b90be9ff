from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_llama.cli import app
from edge_llama.cli.doctor import diagnosis
from edge_llama.cli.doctor.diagnosis import Diagnosis, LlamaCpp
from edge_llama.machine.cpus import Cpus
from edge_llama.machine.instructions import Comparison
from edge_llama.weights.store.record import StoredFile
from edge_llama.weights.store.store import Store
from tests.cli.doctor.healthy import GB, HEALTHY, MODEL
from tests.cli.test_program import run
from tests.gguf_factory import write_tiny_gguf


def doctor(
    monkeypatch: pytest.MonkeyPatch, found: Diagnosis, *arguments: str
) -> tuple[int, list[str]]:
    """Exit code, and lines with their spaces made one."""
    monkeypatch.setattr(diagnosis, "diagnose", lambda: found)
    result = CliRunner().invoke(app, ["doctor", *arguments])
    return result.exit_code, [" ".join(line.split()) for line in result.output.splitlines()]


def test_a_healthy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    code, lines = doctor(monkeypatch, HEALTHY)
    assert code == 0
    assert lines == [
        "versions edge-llama 0.1.0, llama-cpp-python 0.3.36, Python 3.12.1, Linux x86_64",
        "CPU Fast CPU",
        "16 of 16 CPUs may be used, with 8 cores",
        "threads 8 to generate, 8 to read prompts: one for each core",
        "llama.cpp runs on the CPU",
        "uses SSE3, AVX2",
        "memory 16.0 GB in all, 12.0 GB available",
        "a model may take 10.0 GB, unless --memory says otherwise",
        "about 12.0 GB of weights are read in a second",
        "folders models: /models, 100 GB free",
        "hub huggingface.co, no token (HF_TOKEN)",
        "",
        "model size memory context KV cache speed",
        "llama-3.1-8b-instruct 4.92 GB 6.10 GB 4,096 f16 slow, about 2.4 tokens/s",
        "",
        "No problems found.",
    ]


def test_limits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = replace(
        HEALTHY,
        cpus=Cpus(logical=24, allowed=20, quota=2.5, physical=16, performance=8),
        memory=replace(HEALTHY.memory, limit=4 * GB, gpu_limit=3 * GB),
        swap_used=GB,
        environment=replace(
            HEALTHY.environment, hub_offline=True, hub_token=True, hub_endpoint="mirror.example"
        ),
    )
    _, lines = doctor(monkeypatch, limited)
    assert (
        "20 of 24 CPUs may be used, with 16 cores, 8 of them performance cores; quota: 2.5 CPUs"
    ) in lines
    assert (
        "memory 16.0 GB in all, 12.0 GB available, limited to 4.00 GB, 3.00 GB for Metal, "
        "1.00 GB swapped out"
    ) in lines
    assert (
        "hub mirror.example (HF_ENDPOINT), with a token (HF_TOKEN), not asked (HF_HUB_OFFLINE)"
    ) in lines


def test_a_problem_that_stops_everything_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = LlamaCpp("CPU", None, Comparison(("SSE3",), ("AVX512",), ()))
    code, lines = doctor(monkeypatch, replace(HEALTHY, llama_cpp=missing))
    assert code == 1
    assert "needs and does not find AVX512" in lines
    (line,) = (line for line in lines if line.startswith("Problem "))
    assert lines[lines.index(line) + 2].startswith("pip install --force-reinstall")


def test_llama_cpp_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(HEALTHY, llama_cpp=LlamaCpp(None, "llama.cpp did not load.", None))
    code, lines = doctor(monkeypatch, broken)
    assert code == 1
    assert "llama.cpp cannot be loaded" in lines
    assert "Problem llama.cpp did not load." in lines


def test_a_model_that_does_not_run_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    model = replace(MODEL, plan=None, refusal="It needs 6 GB, and there are 4 GB.")
    code, lines = doctor(monkeypatch, replace(HEALTHY, models=(model,)))
    assert code == 0
    assert "llama-3.1-8b-instruct 4.92 GB does not run" in lines
    assert any(line.startswith("Note llama-3.1-8b-instruct cannot be run") for line in lines)


def test_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    code, lines = doctor(monkeypatch, replace(HEALTHY, models=()))
    assert code == 0
    assert "models none are installed; `edge-llama list --all` shows what would fit" in lines


def run_here(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_llama", "doctor", *arguments],
        env={**os.environ, "EDGE_LLAMA_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def install_tiny_model(home: Path) -> None:
    path = write_tiny_gguf(home / "tiny.gguf")
    file = StoredFile(path, path.stat().st_size, sha256="0" * 64, linked="reference")
    Store(home / "models").add([file], quantization="F32", source="test")


def test_this_machine_as_json(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    done = run_here(tmp_path, "--json")
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.keys() == {
        "versions",
        "cpu",
        "cpus",
        "threads",
        "llama_cpp",
        "memory",
        "budget",
        "swap_used",
        "bandwidth",
        "folders",
        "environment",
        "models",
        "problems",
    }
    assert found["llama_cpp"]["backend"] in ("CPU", "Metal", "GPU")
    (model,) = found["models"]
    assert model["id"] == "tiny"
    assert model["refusal"] is None
    parts = ("weights", "kv_cache", "compute", "process")
    assert model["plan"]["memory"] == sum(model["plan"][part] for part in parts)
    assert done.returncode == int(any(problem["stops"] for problem in found["problems"]))


def test_a_file_in_the_place_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_LLAMA_HOME", str(tmp_path / "file"))
    models, *_ = diagnosis.diagnose().folders
    assert (models.writable, models.free) == (False, None)


@pytest.mark.parametrize("variable", ["EDGE_LLAMA_HOME", "EDGE_LLAMA_CACHE_DIR"])
def test_the_folder_of_the_cache_is_the_one_that_is_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "own"))
    used = json.loads(run(capsys, "cache", "--json")[1])["folder"]
    assert used.startswith(str(tmp_path / "own"))
    (cache,) = (each for each in diagnosis.diagnose().folders if each.purpose == "cache")
    assert cache.path == used


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run_here(tmp_path)
    assert "models none are installed" in " ".join(done.stdout.split())
    assert [path.name for path in tmp_path.rglob("*.*")] == ["machine.json"]


def test_secrets_are_not_told(tmp_path: Path) -> None:
    secret = "hf_0123456789"
    endpoint = f"https://user:{secret}@mirror.example/hub"
    done = run_here(tmp_path, "--json", HF_TOKEN=secret, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="yes")
    assert secret not in done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["environment"]["hub_token"] is True
    assert found["environment"]["hub_offline"] is True
    assert found["environment"]["hub_endpoint"] == "mirror.example"


def test_a_damaged_model_is_a_note(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    found = json.loads(run_here(tmp_path, "--json").stdout)
    assert found["models"][0]["plan"] is None
    assert any("tiny cannot be run" in problem["what"] for problem in found["problems"])
