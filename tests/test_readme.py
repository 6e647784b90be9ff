"""What the texts and the Makefile name exists, and what exists is named."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main

from edge_llama.cli import app
from tests.documentation import MANUAL, README, ROOT, TEXTS, calls_of, code_of

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
MOST_WORDS = 900


def commands() -> dict[str, set[str]]:
    """Every command with its flags; the program itself is the empty name."""
    program: Any = typer.main.get_command(app)
    found = {"": flags_of(program)}
    for name, command in program.commands.items():
        for own, below in getattr(command, "commands", {}).items():
            found[f"{name} {own}"] = flags_of(below)
        found[name] = flags_of(command)
    return found


def flags_of(command: Any) -> set[str]:
    declared = {
        flag
        for param in command.params
        if param.param_type_name == "option"
        for flag in (*param.opts, *param.secondary_opts)
    }
    return declared | {"-h", "--help"}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))


OTHER_TEXTS = sorted({path.name for path in ROOT.glob("*.md")} - TEXTS.keys())
ALL_TEXTS = {**TEXTS, **{name: (ROOT / name).read_text(encoding="utf-8") for name in OTHER_TEXTS}}
CALLS = [
    *(call for text in ALL_TEXTS.values() for call in calls_of(code_of(text))),
    *calls_of(MAKEFILE.replace("\\\n", " ").splitlines()),
]


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= MOST_WORDS


@pytest.mark.parametrize(("command", "flags"), CALLS, ids=str)
def test_named_commands_and_flags_exist(command: str, flags: list[str]) -> None:
    known = commands()
    assert command in known
    assert set(flags) <= known[command]


def test_flags_named_alone_exist() -> None:
    named = {
        word
        for text in TEXTS.values()
        for line in code_of(text)
        for word in re.findall(r"^--[a-z0-9-]+", line)
    }
    own = set().union(*commands().values())
    assert named
    assert named <= own


@pytest.mark.parametrize("command", commands())
def test_the_manual_explains_every_command_and_flag(command: str) -> None:
    """On a page that names the command, not just somewhere."""
    called = re.compile(rf"edge-llama {command}(?![a-z-])" if command else "edge-llama --")
    codes = ["\n".join(code_of(text)) for text in MANUAL.values()]
    named = "\n".join(code for code in codes if called.search(code))
    assert named
    flags = commands()[command]
    assert {flag for flag in flags if not re.search(rf"(?<![\w-]){flag}(?![a-z-])", named)} <= {
        "--help",
        "-h",
    }


def test_named_make_targets_exist() -> None:
    named = {
        target
        for text in ALL_TEXTS.values()
        for line in code_of(text)
        for target in re.findall(r"^\s*make ([a-z-]+)", line)
    }
    assert {"run", "test"} <= named
    assert named <= make_targets()


def test_make_help_names_every_target() -> None:
    named = set(re.findall(r'"make ([a-z-]+)', MAKEFILE))
    assert named == make_targets() - {"help"}


@pytest.mark.parametrize("text", ["README.md", *OTHER_TEXTS])
def test_relative_links_lead_to_files(text: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", ALL_TEXTS[text])
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_paths_in_contributing_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:edge_llama|tests|models)/[\w./-]*)`", text))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
