"""What the texts and the Makefile name exists, and what exists is named."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main

from edge_llama.cli import app
from tests.serving import serving

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TEXTS = sorted(path.name for path in ROOT.glob("*.md"))


def commands() -> dict[str, set[str]]:
    """Every command with its flags; the program itself is the empty name."""
    program: Any = typer.main.get_command(app)
    found = {"": flags_of(program)}
    found.update({name: flags_of(command) for name, command in program.commands.items()})
    return found


def flags_of(command: Any) -> set[str]:
    declared = {
        flag for param in command.params if param.param_type_name == "option" for flag in param.opts
    }
    return declared | {"-h", "--help"}


def code_of(text: str) -> Iterator[str]:
    """The lines of fenced blocks, joined at a trailing backslash, and inline code."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def calls_of(lines: Iterator[str]) -> list[tuple[str, list[str]]]:
    """The calls of edge-llama among `lines`, as (command, flags)."""
    found = []
    for line in lines:
        if match := re.match(r"\s*[@$]?\s*(?:exec\s+)?(?:\S*/)?edge-llama(?:\s+(.*))?$", line):
            words = shlex.split(match[1] or "", comments=True)
            command = "" if not words or words[0].startswith("-") else words[0]
            flags = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
            found.append((command, flags))
    return found


def python_example(word: str) -> str:
    """The only Python block of the README that has `word`."""
    (example,) = (b for b in re.findall(r"^```python\n(.*?)^```", README, re.M | re.S) if word in b)
    return str(example)


def output_of(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))


CALLS = {
    "README.md": calls_of(code_of(README)),
    "CONTRIBUTING.md": calls_of(code_of((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))),
    "Makefile": calls_of(iter(MAKEFILE.replace("\\\n", " ").splitlines())),
}


@pytest.mark.parametrize(
    ("command", "flags"), [call for calls in CALLS.values() for call in calls], ids=str
)
def test_named_commands_and_flags_exist(command: str, flags: list[str]) -> None:
    known = commands()
    assert command in known
    assert set(flags) <= known[command]


def test_flags_named_alone_exist() -> None:
    named = {word for line in code_of(README) for word in re.findall(r"^--[a-z0-9-]+", line)}
    own = set().union(*commands().values())
    assert named
    assert named <= own


def test_readme_names_every_command_and_flag() -> None:
    code = "\n".join(code_of(README))
    for command, flags in commands().items():
        assert f"edge-llama {command}".rstrip() in code
        if command:
            missing = {flag for flag in flags if not re.search(rf"{flag}(?![a-z-])", code)}
            assert {flag for flag in missing if flag.startswith("--")} <= {"--help"}, command


def test_named_make_targets_exist() -> None:
    named = {
        target
        for text in TEXTS
        for line in code_of((ROOT / text).read_text(encoding="utf-8"))
        for target in re.findall(r"^\s*make ([a-z-]+)", line)
    }
    assert {"run", "test"} <= named
    assert named <= make_targets()


def test_make_help_names_every_target() -> None:
    named = set(re.findall(r'"make ([a-z-]+)', MAKEFILE))
    assert named == make_targets() - {"help"}


@pytest.mark.parametrize("text", TEXTS)
def test_relative_links_lead_to_files(text: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / text).read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_paths_in_contributing_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:edge_llama|tests|models)/[\w./-]*)`", text))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_library_example_runs() -> None:
    assert output_of(python_example("AsyncEngine")).strip()


def test_the_client_example_and_the_curl_call_run() -> None:
    curl = next(line for line in code_of(README) if line.startswith("curl") and "/v1/" in line)
    words = shlex.split(curl)
    headers = dict([words[words.index("-H") + 1].split(": ")])
    with serving() as (url, _):
        here = python_example("OpenAI").replace("http://127.0.0.1:8000", url)
        assert output_of(here).strip()
        answer = httpx.post(f"{url}/v1/chat/completions", headers=headers, content=words[-1])
        assert answer.json()["choices"][0]["message"]["content"]
