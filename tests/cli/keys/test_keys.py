from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_llama.accounts.accounts import Accounts
from edge_llama.accounts.key import hash_key
from edge_llama.accounts.state_file import FILE_NAME, StateFile
from edge_llama.cli.terminal.exit_codes import ExitCode
from tests.cli.test_program import run


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_LLAMA_STATE_DIR", str(tmp_path))
    return tmp_path


def keys(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = run(capsys, "keys", *arguments)
    assert (code, err) == (0, "")
    return out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(keys(capsys, *arguments, "--json"))


def test_the_life_of_a_key(capsys: pytest.CaptureFixture[str], state_dir: Path) -> None:
    accounts = Accounts(StateFile(state_dir / FILE_NAME))
    assert keys(capsys, "list").startswith("There are no keys.")
    secret = keys(capsys, "create", "alice", "--rpm", "5", "--models", "a, b").strip()
    assert accounts.find(hash_key(secret)) is not None
    assert "alice" in keys(capsys, "list")
    assert "models a b, rpm 7" in keys(capsys, "set", "alice", "--rpm", "7")
    assert "rpm" not in keys(capsys, "set", "alice", "--rpm", "none", "--tier", "flex")
    shown = as_json(capsys, "show", "alice")
    assert shown["limits"]["models"] == ["a", "b"]
    assert shown["limits"]["tier"] == "flex"
    new = keys(capsys, "rotate", "alice", "--old-valid", "0").strip()
    assert accounts.find(hash_key(secret)) is None
    assert accounts.find(hash_key(new)) is not None
    assert keys(capsys, "revoke", "alice") == f"alice was revoked. Its id is {shown['id']}.\n"
    assert accounts.find(hash_key(new)) is None
    assert as_json(capsys, "list") == []
    assert [key["id"] for key in as_json(capsys, "list", "--all")] == [shown["id"]]


def test_what_was_used(capsys: pytest.CaptureFixture[str], state_dir: Path) -> None:
    assert keys(capsys, "usage") == "Nothing was used.\n"
    created = as_json(capsys, "create", "alice")
    accounts = Accounts(StateFile(state_dir / FILE_NAME))
    account = accounts.find(hash_key(created["secret"]))
    assert account is not None
    now = accounts._clock()
    account.hold("demo", 1200, 0, now).settle(now)
    accounts.close()
    [line] = as_json(capsys, "usage", "alice")
    assert line == {
        "group": "alice",
        "requests": 1,
        "prompt_tokens": 1200,
        "cached_tokens": 0,
        "completion_tokens": 0,
        "cents": 0.0,
    }
    assert [row["group"] for row in as_json(capsys, "usage", "--by", "model")] == ["demo"]
    table = keys(capsys, "usage", "--by", "day", "--since", "1h").splitlines()
    assert table[1].split()[1:] == ["1", "1,200", "0", "0", "0.00"]
    assert as_json(capsys, "usage", "bob") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "a b"], "'a b' cannot name an API key."),
        (["create", "a", "--rpm", "0"], "--rpm must be between 1 and"),
        (["create", "a", "--rpm", "many"], "'many' is not a number. Write 100, or none."),
        (["create", "a", "--expires", "soon"], "'soon' is not a duration."),
        (["show", "nobody"], "There is no key nobody. There are none yet."),
        (["usage", "--since", "ever"], "'ever' is not a duration."),
    ],
)
def test_wrong_use_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, "keys", *arguments)
    assert code in (ExitCode.USAGE, ExitCode.ERROR)
    assert out == ""
    assert err.startswith(f"edge-llama: {message}")
    assert err.count("\n") == 1
