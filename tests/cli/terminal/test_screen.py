from __future__ import annotations

import pytest

from edge_llama.cli.terminal.screen import Screen


def test_a_model_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(interactive=True).write("a\x1b[2Jb\x07\x9b\r\tc\n é 🙂")
    assert capsys.readouterr().out == "a[2Jb\tc\n é 🙂"


def test_a_pipe_gets_the_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(interactive=False).write("a\x1b[2Jb")
    assert capsys.readouterr().out == "a\x1b[2Jb"


def test_notes_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(interactive=False)
    screen.note("a note")
    screen.end_line()
    with screen.busy("loading"):
        pass
    screen.complain("a complaint")
    assert capsys.readouterr() == ("", "edge-llama: a complaint\n")


def test_brackets_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(interactive=True)
    screen.note("[bold]:smile:[/bold]")
    screen.complain("[/]")
    assert capsys.readouterr().out == "[bold]:smile:[/bold]\n[/]\n"
