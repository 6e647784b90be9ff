"""simonw/llm, the command, with a model of its extra-openai-models.yaml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.prompts import CAPITAL, CAPITAL_ANSWER, GREETING, PERSON, WEATHER

pytest.importorskip("llm", reason="make test-clients installs it")

MODELS = """
- model_id: edge
  model_name: demo
  api_base: {base_url}
  api_key_name: edge
  supports_schema: true
  supports_tools: true
"""
TOOL = '''
def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return '{"temperature": 18}'
'''


@pytest.fixture
def folder(base_url: str, tmp_path: Path) -> Path:
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(base_url=base_url))
    (tmp_path / "keys.json").write_text('{"edge": "none"}')
    return tmp_path


def llm(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "llm", "-m", "edge", *arguments, "-o", "temperature", "0"],
        env={**os.environ, "LLM_USER_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_streamed_and_a_whole_answer(folder: Path) -> None:
    assert llm(folder, "Hello!") == GREETING
    assert llm(folder, CAPITAL, "--no-stream") == CAPITAL_ANSWER


def test_a_schema(folder: Path) -> None:
    assert llm(folder, PERSON, "--schema", "name, age int") == '{"name": "Paula", "age": 34}'


def test_a_tool(folder: Path) -> None:
    assert "18" in llm(folder, WEATHER, "--functions", TOOL)
