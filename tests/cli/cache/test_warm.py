from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_llama.cli import app
from edge_llama.errors import EdgeLlamaError, SettingsError

SYSTEM = "You are the helper of a small bakery. " + " ".join(
    f"Bread number {n} costs {n % 7 + 2} euros." for n in range(40)
)
TOOLS = [
    {
        "type": "function",
        "function": {"name": "price", "description": "x " * 200, "parameters": {"type": "object"}},
    }
]


@pytest.fixture
def system(tmp_path: Path) -> Path:
    path = tmp_path / "system.txt"
    path.write_text(SYSTEM, encoding="utf-8")
    return path


def warm(tmp_path: Path, *arguments: str) -> str:
    flags = ["--cache-dir", str(tmp_path / "cache"), "--cache-size", "1G", "--threads", "1"]
    result = CliRunner().invoke(app, ["warm", "demo", *flags, *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


def test_a_prefix_is_read_once(tmp_path: Path, system: Path) -> None:
    assert "are kept (" in warm(tmp_path, "--system", str(system))
    assert "were kept already" in warm(tmp_path, "--system", str(system))


def test_tools_are_part_of_it(tmp_path: Path, system: Path) -> None:
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps(TOOLS))
    without = warm(tmp_path, "--system", str(system)).split()[0]
    with_tools = warm(tmp_path, "--system", str(system), "--tools", str(tools)).split()[0]
    assert int(with_tools.replace(",", "")) > int(without.replace(",", "")) + 50


def test_nowhere_to_keep_it_is_told(system: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--export FILE"):
        warm(tmp_path, "--system", str(system), "--cache-size", "0")


@pytest.mark.parametrize(
    ("content", "problem"),
    [("{", "is not JSON"), ("{}", "not a list of tools"), ('[{"type": "function"}]', "has a")],
)
def test_tools_that_are_none_are_refused(
    tmp_path: Path, system: Path, content: str, problem: str
) -> None:
    tools = tmp_path / "tools.json"
    tools.write_text(content)
    with pytest.raises(EdgeLlamaError, match=problem):
        warm(tmp_path, "--system", str(system), "--tools", str(tools))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.txt cannot be read"):
        warm(tmp_path, "--system", str(tmp_path / "none.txt"))
