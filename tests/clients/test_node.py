"""The npm packages `openai` and `ai` on this machine's Node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "node"
INSTALLED = Path(__file__).parents[2] / ".venv-clients" / "node"
"""Where `make test-clients` puts the packages; Node looks for them beside the script."""


@pytest.fixture(scope="module")
def node() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("There is no Node on this machine.")
    if not (INSTALLED / "node_modules").exists():
        pytest.skip("`make test-clients` installs the packages.")
    shutil.copytree(SCRIPTS, INSTALLED, dirs_exist_ok=True)
    return node


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.test.mjs")))
def test_npm_package(node: str, base_url: str, script: str) -> None:
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", script],
        cwd=INSTALLED,
        env={**os.environ, "EDGE_LLAMA_URL": base_url},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
