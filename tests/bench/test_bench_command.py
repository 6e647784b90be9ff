from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from edge_llama.bench.scenarios import SCENARIOS
from edge_llama.bench.synthetic import SHAPES
from edge_llama.cli.bench import bench
from edge_llama.errors import ModelFileError, SettingsError

app = typer.Typer()
app.command()(bench)


def refusal(*arguments: str) -> BaseException:
    error = CliRunner().invoke(app, arguments).exception
    assert error is not None
    return error


def test_one_load_on_a_tiny_model_end_to_end(tiny_model: Path) -> None:
    arguments = ["--model", str(tiny_model), "--scenario", "decode", "--runs", "1", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--threads", "1"])
    assert result.exception is None
    data = json.loads(result.stdout)
    (decode,) = data["scenarios"]
    assert decode["title"] == "decode, 1 stream"
    rates = {name: figure["median"] for name, figure in decode["tokens_per_second"].items()}
    assert rates.keys() == {"raw", "engine", "server"}
    assert min(rates.values()) > 0
    assert data["overhead_per_step"].keys() == {"engine", "server"}


def test_refusals_name_the_option(tmp_path: Path) -> None:
    shape = refusal("--shape", "9b", "--cache-dir", str(tmp_path))
    assert isinstance(shape, SettingsError)
    assert "--shape" in str(shape)
    scenario = refusal("--scenario", "sleep")
    assert isinstance(scenario, SettingsError)
    assert "--scenario" in str(scenario)
    assert isinstance(refusal("--model", str(tmp_path / "no.gguf")), ModelFileError)
    assert isinstance(refusal("--runs", "0"), SystemExit)


@pytest.mark.parametrize("name", [*SCENARIOS, *SHAPES])
def test_help_names_every_scenario_and_shape(name: str) -> None:
    assert name in CliRunner().invoke(app, ["--help"], terminal_width=300).stdout
