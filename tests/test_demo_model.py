"""The bundled demo model: what its card promises, on a sample of held-out prompts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from edge_llama import AsyncEngine, EngineSettings, resolve_model
from tests.effort import at_most

DEMO = Path(__file__).parent.parent / "models" / "demo"
ROW = re.compile(r"^\| (?:.*\(`)?([a-z_]+)(?:`\))? \| \d+ of \d+ \| ([\d.]+)% \|", re.MULTILINE)
PROMPTS = 15
SLACK = 20
"""Percentage points by which a sample of 15 may miss the card's figure."""


def rates(text: str) -> dict[str, float]:
    """Percentages by behaviour, from a table in Markdown."""
    return {name: float(rate) for name, rate in ROW.findall(text)}


def test_the_card_tells_the_truth() -> None:
    promised = rates((DEMO / "README.md").read_text(encoding="utf-8"))
    command = [sys.executable, str(DEMO / "evaluate.py"), "--prompts", str(PROMPTS), "--seed", "7"]
    command += ["--threads", "1"]  # more of them wait for each other when tests share the CPUs
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = rates(done.stdout)
    assert len(promised) >= 9
    assert measured.keys() == promised.keys()
    missed = {name: rate for name, rate in measured.items() if rate < promised[name] - SLACK}
    assert missed == {}


def test_the_file_is_small_and_is_labelled_a_demo() -> None:
    path = resolve_model("demo")
    assert path.stat().st_size <= 8 * 1024 * 1024
    assert "demo" in path.name


async def test_it_loads_at_once_and_says_what_it_is() -> None:
    settings = EngineSettings(model=str(resolve_model("demo")), threads=1)
    engine = AsyncEngine(settings)
    with at_most(5000, os.getpid()):
        await engine.start()
    async with engine:
        assert "demo" in engine.info.name
        assert engine.info.architecture == "llama"
        assert engine.info.n_ctx_train >= 2048
        assert engine.info.bos_token == "<|begin_of_text|>"
        for token in ("<|eot_id|>", "<|eom_id|>", "<|python_tag|>", "<|start_header_id|>"):
            assert token in engine.info.control_tokens
        assert "<|start_header_id|>" in engine.info.chat_template
