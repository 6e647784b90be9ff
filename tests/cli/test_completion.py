from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edge_llama.cli.completion import complete_installed, complete_model
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store


def test_installed_models_and_the_catalog_are_offered(tiny: InstalledModel) -> None:
    assert complete_model("Ti") == ["Tiny-F32"]
    assert complete_model("dem") == ["demo"]
    assert "llama-3.1-8b-instruct" in complete_model("llama")


def test_only_installed_models_can_be_removed(tiny: InstalledModel) -> None:
    assert complete_installed("") == ["Tiny-F32"]
    assert complete_installed("llama") == []


def test_a_catalog_that_cannot_be_read_hides_nothing_else(
    store: Store, tiny: InstalledModel
) -> None:
    (store.root.parent / "catalog.toml").write_text("[[model]")
    assert complete_model("") == ["demo", "Tiny-F32"]


PROGRAM = "import sys; sys.argv = ['edge-llama']; from edge_llama.cli import main; main()"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("edge-llama ver", "verify"),
        ("edge-llama rm Ti", "Tiny-F32"),
        ("edge-llama show dem", "demo"),
        ("edge-llama pull llama-3.2-1", "llama-3.2-1b-instruct"),
        ("edge-llama docs sec", "security"),
    ],
)
def test_the_shell_is_answered(tiny: InstalledModel, words: str, offered: str) -> None:
    environ = {
        **os.environ,
        "_EDGE_LLAMA_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == ([offered], "")
