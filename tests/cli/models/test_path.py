from __future__ import annotations

import pytest

from edge_llama.weights.demo import bundled_model
from edge_llama.weights.store.record import InstalledModel
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run


def test_the_folder_of_all_models(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    assert run(capsys, "path") == (0, f"{store.root}\n", "")


def test_the_file_of_a_model(capsys: pytest.CaptureFixture[str], tiny: InstalledModel) -> None:
    assert run(capsys, "path", "tiny-f32") == (0, f"{tiny.path}\n", "")


def test_the_demo(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    assert run(capsys, "path", "demo") == (0, f"{bundled_model()}\n", "")


def test_what_is_not_installed_has_no_path(
    capsys: pytest.CaptureFixture[str], store: Store
) -> None:
    code, out, err = run(capsys, "path", "nonsense")
    assert (code, out) == (3, "")
    assert err == "edge-llama: 'nonsense' is not installed. `edge-llama list` shows what is.\n"
