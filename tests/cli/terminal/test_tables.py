from __future__ import annotations

import json

import pytest

from edge_llama.cli.terminal.tables import Column, print_facts, print_json, print_table

COLUMNS = [Column("model", fold=True), Column("size", right=True), Column("source")]
ROWS = [["llama-3.1-8b-instruct", "4.92 GB", "hub"], ["demo", "812 kB", ""]]


def test_a_pipe_gets_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out == (
        "model                     size  source\n"
        "llama-3.1-8b-instruct  4.92 GB  hub\n"
        "demo                    812 kB\n"
    )


def test_nothing_is_cut_off_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    name = "a/" * 200
    print_table(COLUMNS, [[name, "1 B", "x" * 100]])
    assert capsys.readouterr().out.splitlines()[1] == f"{name}   1 B  {'x' * 100}"


def test_wide_characters_stay_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("ラマ", "1"), ("name", "2")])
    assert capsys.readouterr().out == "ラマ  1\nname  2\n"


def test_a_terminal_gets_every_cell_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    print_table(COLUMNS, [["Q" * 60, "4.92 GB", "[bold]hub[/bold]"]])
    out = capsys.readouterr().out
    assert out.count("Q") == 60
    assert "[bold]hub[/bold]" in out


def test_a_value_with_lines_stays_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("name", "a"), ("files", "b\nc"), ("licence", "")])
    assert capsys.readouterr().out == "name     a\nfiles    b\n         c\nlicence\n"


def test_a_model_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("name", "a\x1b[2Jb\x9b\r")])
    print_table(COLUMNS, [["\x1b]0;x\x07", "", ""]])
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(capsys.readouterr().out)


def test_json_is_the_same_in_every_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "é", "size": 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": "é", "size": 1}
    assert out.isascii()
