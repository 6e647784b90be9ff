from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from edge_llama.cli import app
from tests.cli.test_program import run

COMMANDS: dict[str, Callable[..., Any]] = {
    command.name or command.callback.__name__: command.callback
    for command in app.registered_commands
    if command.callback is not None
}


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_its_docstring_in_80_columns(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, out, err = run(capsys, name, "--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    for paragraph in inspect.cleandoc(COMMANDS[name].__doc__ or "").split("\n\n"):
        assert " ".join(paragraph.split()) in " ".join(out.split())
    assert "[[" not in lines[0]


def test_the_list_of_commands_cuts_nothing_off(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    width = max(map(len, COMMANDS))
    for name, callback in COMMANDS.items():
        summary = (callback.__doc__ or "").partition("\n")[0]
        assert f"  {name:<{width}}  {summary}\n" in out
