from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from edge_llama.bench.scenarios.scenarios import NAMES
from edge_llama.bench.synthetic.synthetic import QUANTIZATIONS, SHAPES
from edge_llama.bench.targets.target import TARGETS
from edge_llama.cli.bench import bench
from edge_llama.errors import SettingsError, UnknownModel
from tests.serving import serving

app = typer.Typer()
app.command()(bench)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, [*arguments, "--runs", "1", "--threads", "1"])
    assert result.exception is None, result.output
    return result


def refusal(*arguments: str) -> BaseException:
    error = CliRunner().invoke(app, arguments).exception
    assert error is not None
    return error


def test_scenarios_of_every_kind_on_a_tiny_model_end_to_end(tiny_model: Path) -> None:
    chosen = ["--scenario", "overhead", "--scenario", "prefix"]
    data = json.loads(run("--model", str(tiny_model), *chosen, "--json").stdout)
    assert data["model"] == str(tiny_model)
    assert data["runs"] == 1
    rates = data["scenarios"]["decode"]["figures"]["tokens_per_second"]["targets"]
    assert rates.keys() == {"raw", "engine", "server"}
    assert min(figure["median"] for figure in rates.values()) > 0
    assert data["overhead"].keys() == {"engine", "server"}
    prefix = data["scenarios"]["prefix"]["figures"]
    assert prefix["warm_ttft"]["targets"].keys() == {"server"}
    assert prefix["cached_tokens"]["targets"]["server"]["median"] > 0.75 * 841


def test_a_target_can_be_chosen(tiny_model: Path) -> None:
    chosen = ["--target", "engine", "--scenario", "prefix", "--scenario", "startup"]
    data = json.loads(run("--model", str(tiny_model), *chosen, "--json").stdout)
    assert data["scenarios"].keys() == {"prefix"}, "startup is of a server"
    cached = data["scenarios"]["prefix"]["figures"]["cached_tokens"]["targets"]
    assert cached["engine"]["median"] == 841


def test_the_memory_of_a_tiny_model_end_to_end(tiny_model: Path) -> None:
    result = run("--model", str(tiny_model), "--scenario", "memory", "--json")
    figures = json.loads(result.stdout)["scenarios"]["memory"]["figures"]
    assert figures["engine_memory"]["targets"]["server"]["median"] > 30_000_000


def test_a_running_server_alone(tmp_path: Path) -> None:
    with serving("demo") as (url, _):
        result = run(
            "--target", "url", "--url", url, "--scenario", "decode", "--cache-dir", str(tmp_path)
        )
    head, title, figures, *_ = result.stdout.splitlines()
    assert head.split() == ["demo", "url", "goal"]
    assert title.startswith("decode: one stream")
    assert float(figures.split()[-1].replace(",", "")) > 0
    assert list(tmp_path.iterdir()) == [], "no model of our own is needed"


def test_an_estimate_end_to_end(tmp_path: Path) -> None:
    result = run("--shape", "15m", "--layers", "4", "--cache-dir", str(tmp_path), "--json")
    figures = json.loads(result.stdout)["scenarios"]["estimate"]["figures"]
    assert figures["decode"]["targets"]["estimate"]["median"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "9b"], "--shape"),
        (["--quant", "Q5_K_M"], "--quant"),
        (["--scenario", "sleep"], "--scenario"),
        (["--target", "moon"], "--target"),
        (["--target", "url"], "--url"),
        (["--url", "ftp://here"], "--url"),
        (["--layers", "3"], "--layers"),
        (["--layers", "4", "--scenario", "stall"], "--scenario"),
        (["--layers", "4", "--model", "demo"], "--model"),
        (["--layers", "4", "--target", "server"], "--target"),
        (["--plot", "figures.gif"], "--plot"),
    ],
)
def test_refusals_name_the_option(arguments: list[str], message: str, tmp_path: Path) -> None:
    error = refusal(*arguments, "--cache-dir", str(tmp_path))
    assert isinstance(error, SettingsError)
    assert message in str(error)
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(tmp_path: Path) -> None:
    nothing = refusal("--model", "demo", "--scenario", "stall", "--target", "raw")
    assert "None of these scenarios" in str(nothing)
    assert isinstance(refusal("--model", str(tmp_path / "no.gguf")), UnknownModel)
    assert isinstance(refusal("--runs", "0"), SystemExit)


@pytest.mark.parametrize("name", [*NAMES, *SHAPES, *QUANTIZATIONS, *TARGETS])
def test_help_names_every_choice(name: str) -> None:
    assert name in CliRunner().invoke(app, ["--help"], terminal_width=300).stdout
