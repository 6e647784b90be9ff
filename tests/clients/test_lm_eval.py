"""lm-eval's `local-completions` and `local-chat-completions` on three questions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval", reason="make test-clients installs it")

QUESTIONS = [
    {"country": "France", "cities": ["Paris", "Rome"], "answer": 0},
    {"country": "Italy", "cities": ["Paris", "Rome"], "answer": 1},
    {"country": "Japan", "cities": ["Rome", "Tokyo"], "answer": 1},
]
CHOICE: dict[str, Any] = {
    "task": "choice",
    "output_type": "multiple_choice",
    "doc_to_text": "What is the capital of {{country}}?",
    "doc_to_choice": "cities",
    "target_delimiter": "The capital of {{country}} is ",
    "doc_to_target": "answer",
    "metric_list": [{"metric": "acc"}],
}
ANSWER: dict[str, Any] = {
    "task": "answer",
    "output_type": "generate_until",
    "doc_to_text": "What is the capital of {{country}}?",
    "doc_to_target": "{{cities[answer]}}",
    "generation_kwargs": {"until": ["."], "max_gen_toks": 20, "temperature": 0},
    "filter_list": [
        {
            "name": "city",
            "filter": [
                {"function": "regex", "regex_pattern": r"(\w+)$"},
                {"function": "take_first"},
            ],
        }
    ],
    "metric_list": [{"metric": "exact_match"}],
}


def evaluate(
    folder: Path, task: dict[str, Any], model: str, *arguments: str
) -> dict[str, float | str]:
    """The metrics of `task`, run without a network."""
    name = task["task"]
    data = folder / "questions.jsonl"
    data.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    source = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
    }
    (folder / f"{name}.yaml").write_text(json.dumps(task | source))  # JSON is YAML
    command = [sys.executable, "-m", "lm_eval", "--model", model, "--tasks", name]
    command += ["--include_path", str(folder), "--output_path", str(folder / "out")]
    command += ["--apply_chat_template", "--model_args", ",".join(("model=demo", *arguments))]
    done = subprocess.run(
        command,
        env={**os.environ, "HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [report] = (folder / "out").rglob("results_*.json")
    metrics: dict[str, float | str] = json.loads(report.read_text())["results"][name]
    return metrics


def test_generation_by_chat(tmp_path: Path, base_url: str) -> None:
    url = f"base_url={base_url}/chat/completions"
    metrics = evaluate(tmp_path, ANSWER, "local-chat-completions", url)
    assert metrics["exact_match,city"] == 1
