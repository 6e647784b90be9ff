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

ANSWERS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo"}
QUESTIONS = [
    {
        "question": f"What is the capital of {country}?",
        "answers": [f"The capital of {country} is {city}." for city in ANSWERS.values()],
        "right": right,
    }
    for right, country in enumerate(ANSWERS)
]
PROMPT = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n{{question}}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
"""Llama 3.1's: with a remote tokenizer lm-eval 0.4.13 cannot apply the template by itself."""

CHOOSE: dict[str, Any] = {
    "task": "choose",
    "output_type": "multiple_choice",
    "doc_to_text": PROMPT,
    "target_delimiter": "",
    "doc_to_choice": "answers",
    "doc_to_target": "right",
    "metric_list": [{"metric": "acc"}],
}
ANSWER: dict[str, Any] = {
    "task": "answer",
    "output_type": "generate_until",
    "doc_to_target": "{{answers[right]}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 20, "temperature": 0},
    "metric_list": [{"metric": "exact_match"}],
}


def evaluate(
    folder: Path, tasks: list[dict[str, Any]], model: str, url: str, *flags: str
) -> dict[str, dict[str, float | str]]:
    """The metrics of each task, run without a network."""
    data = folder / "questions.jsonl"
    data.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    source = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
    }
    for task in tasks:
        (folder / f"{task['task']}.yaml").write_text(json.dumps(task | source))  # JSON is YAML
    command = [sys.executable, "-m", "lm_eval", "--model", model]
    command += ["--tasks", ",".join(task["task"] for task in tasks), "--include_path", str(folder)]
    command += ["--output_path", str(folder / "out")]
    command += ["--model_args", f"model=demo,base_url={url}", *flags]
    done = subprocess.run(
        command,
        env={**os.environ, "HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [report] = (folder / "out").rglob("results_*.json")
    metrics: dict[str, dict[str, float | str]] = json.loads(report.read_text())["results"]
    return metrics


def test_completions(tmp_path: Path, base_url: str) -> None:
    """Log-likelihoods are of prompts of token ids, from the server's own tokenizer, with `echo`."""
    tasks = [CHOOSE, ANSWER | {"doc_to_text": PROMPT}]
    metrics = evaluate(tmp_path, tasks, "local-completions", f"{base_url}/completions")
    assert metrics["choose"]["acc,none"] == 1
    assert metrics["answer"]["exact_match,none"] == 1


def test_chat(tmp_path: Path, base_url: str) -> None:
    tasks = [ANSWER | {"doc_to_text": "{{question}}"}]
    url = f"{base_url}/chat/completions"
    metrics = evaluate(tmp_path, tasks, "local-chat-completions", url, "--apply_chat_template")
    assert metrics["answer"]["exact_match,none"] == 1
