from __future__ import annotations

from pathlib import Path

import pytest

from edge_llama.machine.kernel_files import read_cpu_list, read_int, read_text


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,8\n", {0, 1, 2, 3, 8}), ("5", {5}), ("0,64-65", {0, 64, 65}), ("\n", set())],
)
def test_cpu_lists(tmp_path: Path, text: str, cpus: set[int]) -> None:
    (tmp_path / "list").write_text(text)
    assert read_cpu_list(tmp_path / "list") == cpus


@pytest.mark.parametrize(
    ("text", "number"), [("4096\n", 4096), ("-1\n", -1), ("max\n", None), ("", None)]
)
def test_numbers(tmp_path: Path, text: str, number: int | None) -> None:
    (tmp_path / "value").write_text(text)
    assert read_int(tmp_path / "value") == number


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert read_text(tmp_path / "nothing") is None
    assert read_text(tmp_path) is None
    assert read_int(tmp_path / "nothing") is None
    assert read_cpu_list(tmp_path / "nothing") == set()
