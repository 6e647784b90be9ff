from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge_llama
from edge_llama.cli import main
from edge_llama.cli.terminal.exit_codes import ExitCode


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the program, called in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["edge-llama", *arguments])
        patch.setenv("EDGE_LLAMA_LOG_LEVEL", "warning")  # the program sets it; this resets it
        with pytest.raises(SystemExit) as ended:
            main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"edge-llama {edge_llama.__version__}\n", "")


def test_python_m_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_llama", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"edge-llama {edge_llama.__version__}\n"


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = run(capsys)
    assert "serve" in out + err
    assert "chat" in out + err


@pytest.mark.parametrize("command", ["serve", "chat"])
def test_a_missing_model_is_one_line(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, err = run(capsys, command, "nothing.gguf")
    assert (code, out) == (ExitCode.NO_SUCH_MODEL, "")
    assert err.startswith("edge-llama: There is no file 'nothing.gguf'. Give a name that")
    assert err.count("\n") == 1
    code, out, err = run(capsys, command, "./nothing.gguf")
    assert (code, out) == (ExitCode.NO_SUCH_MODEL, "")
    assert err == (
        "edge-llama: There is no file 'nothing.gguf'. Give 'demo', or the path of a .gguf file.\n"
    )


@pytest.mark.parametrize("command", ["serve", "chat"])
def test_a_broken_model_is_one_line(
    capsys: pytest.CaptureFixture[str], command: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0")
    code, out, err = run(capsys, command, str(path))
    assert (code, out) == (ExitCode.DAMAGED, "")
    assert err.startswith(f"edge-llama: {path} is cut off")
    assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-u", "-m", "edge_llama", "path"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == ExitCode.ERROR
    assert done.stderr == "edge-llama: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(closed: str) -> None:
    program = [sys.executable, "-m", "edge_llama", "serve", "nothing.gguf"]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *program]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ExitCode.NO_SUCH_MODEL
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_closed_stream_is_closed_for_children_and_native_code_too() -> None:
    look = (
        "import os, subprocess, sys; from edge_llama.cli import _open_closed_streams as look\n"
        "look()\n"
        "ask = 'import os; os.write(2, b\"lost\")'\n"
        "os._exit(subprocess.run([sys.executable, '-c', ask]).returncode)"
    )
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", look]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows finds the folder without HOME")
def test_a_user_without_a_home_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "EDGE_LLAMA_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, "")  # so that what the program sets is undone
        monkeypatch.delenv(name)
    code, out, err = run(capsys, "path")
    assert (code, err) == (0, "")
    assert Path(out.strip()).is_relative_to("/")
    code, out, err = run(capsys, "import", "--scan")
    assert code == 0
    assert "Traceback" not in err


def test_debug_shows_where_an_error_came_from() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_llama", "chat", "nothing.gguf", "--log-level", "debug"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.NO_SUCH_MODEL
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("edge-llama: There is no file")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("serve", "--parallel", "0"), "--parallel must be between 1 and 64, not 0."),
        (("serve", "--ctx-size", "1"), "--ctx-size must be between"),
        (("serve", "--port", "70000"), "--port must be between"),
        (("serve", "--api-key", " "), "--api-key is empty"),
        (("serve", "--alias", "demo", "--alias", ""), "alias is empty"),
        (("chat", "--threads", "0"), "--threads must be between"),
        (("chat", "--temperature", "3"), "--temperature"),
        (("chat", "--nonsense"), "--nonsense"),
        (("nonsense",), "nonsense"),
    ],
)
def test_wrong_usage_is_told_with_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
