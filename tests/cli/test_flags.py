from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_llama
from edge_llama.cli.chat.chat import chat
from edge_llama.cli.flags import in_one_line, runs, with_flags
from edge_llama.cli.models.list_ import list_
from edge_llama.cli.models.pull import pull
from edge_llama.cli.serve.serve import serve
from edge_llama.cli.terminal.exit_codes import ExitCode
from edge_llama.errors import EdgeLlamaError
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run

PACKAGE = Path(edge_llama.__file__).parent
SPEAK_OF_FLAGS = {"bench", "cli", "docs"}


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ("ctx_size", "--ctx-size"),
        ("memory", "--memory"),
        ("allow_url", "--allow-url"),
        ("allowed_hosts", "--allowed-host"),
        ("api_keys", "--api-key-file"),
        ("tuned", "--tuned"),
    ],
)
def test_a_field_is_told_as_the_flag_that_sets_it(field: str, flag: str) -> None:
    assert with_flags(f"`{field}` 7 is wrong.", serve) == f"{flag} 7 is wrong."


def test_flags_without_groups_are_known_too() -> None:
    assert with_flags("`quantization` or `sha256`", pull) == "--quantization or --sha256"
    assert with_flags("`all_models`", list_) == "--all"


def test_what_is_no_flag_of_the_command_stays() -> None:
    text = "`kv_layout`, `model`, `edge-llama tune` and `messages[0]`"
    assert with_flags(text, chat) == text
    assert with_flags(text, serve).startswith("--kv-layout, `model`, ")


def test_the_command_that_runs_is_the_default() -> None:
    runs(None)
    error = EdgeLlamaError("`ctx_size`\nis\x1bwrong.")
    assert in_one_line(error) == "`ctx_size` is\N{REPLACEMENT CHARACTER}wrong."
    runs(chat)
    assert in_one_line(error) == "--ctx-size is\N{REPLACEMENT CHARACTER}wrong."


@pytest.mark.parametrize("command", ["chat", "warm"])
def test_a_model_that_does_not_fit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    system = tmp_path / "system.txt"
    system.write_text("Be brief.")
    cache = ("--cache-dir", str(tmp_path), "--cache-size", "1G")
    size = ("--memory", "300M", "--ctx-size", "4000000")
    code, _, err = run(capsys, command, "demo", "--system", str(system), *cache, *size)
    assert code == ExitCode.DOES_NOT_FIT
    assert "What fits: --ctx-size " in err
    assert err.endswith("or give it more --memory.\n")
    assert "`" not in err


@pytest.mark.parametrize("arguments", [("list", "--all"), ("show", "llama-3.1-8b-instruct")])
def test_refusals_tell_the_flags_of_serve(
    capsys: pytest.CaptureFixture[str], store: Store, arguments: tuple[str, ...]
) -> None:
    code, out, _ = run(capsys, *arguments, "--memory", "1G", "--json")
    assert code == 0
    found = json.loads(out)
    rows = found if isinstance(found, list) else found["variants"]
    refusals = [row["fit"]["refusal"] for row in rows if row.get("fit")]
    assert any("give it more --memory." in each for each in refusals if each)
    assert "`memory`" not in out


def texts_of(path: Path) -> Iterator[str]:
    """String constants, without the commands in them: they stand in backticks."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"`[a-z][^`]*`", "", node.value)


def test_only_the_program_speaks_of_flags() -> None:
    """A user of the library knows none: its texts name fields, in backticks."""
    named = {
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in SPEAK_OF_FLAGS
        for text in texts_of(path)
        if re.search(r"(?<![\w-])--[a-z]", text)
    }
    assert named == set()
