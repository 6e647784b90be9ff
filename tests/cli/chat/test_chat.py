from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_llama.weights.demo import DEMO_NOTE, bundled_model
from tests.effort import PATIENCE


def chat(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_llama", "chat", "--threads", "1", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_answer_to_a_pipe_is_printed_and_nothing_else() -> None:
    done = chat("Hello!\n", "--temperature", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    assert DEMO_NOTE not in done.stdout
    assert done.stdout == chat("Hello!\n", "--temperature", "0").stdout


def test_piped_lines_are_one_message_unless_asked_otherwise() -> None:
    text = "Hello!\nWho are you?\n"
    whole = chat(text, "--temperature", "0")
    by_line = chat(text, "--lines", "--temperature", "0")
    assert (len(whole.stdout.splitlines()), len(by_line.stdout.splitlines())) == (1, 2)
    assert by_line.stdout.startswith(chat("Hello!\n", "--temperature", "0").stdout)


def test_a_prompt_is_answered_once() -> None:
    done = chat("", "demo", "Hello!", "--temperature", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == chat("Hello!", "--temperature", "0").stdout


def test_no_input_is_no_answer() -> None:
    done = chat("")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "edge-llama: There is nothing to answer: stdin is empty.\n"


def test_an_answer_that_is_cut_off_says_so_beside_the_output() -> None:
    done = chat("", "demo", "Count from 1 to 200.", "--temperature", "0", "--ctx-size", "64")
    assert done.returncode == 0
    assert done.stdout.startswith("1, 2, 3")
    assert done.stderr == "edge-llama: The answer is cut off: the context is full.\n"


def test_a_prompt_that_does_not_fit_is_one_line() -> None:
    done = chat("word " * 200 + "\n", "--ctx-size", "64")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"edge-llama: This model's maximum context length is .*\n", done.stderr)


def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "half.gguf"
    whole = bundled_model().read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = chat("Hello!\n", str(path))
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.splitlines()[-1].startswith("edge-llama: ")


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self.process = process
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def press_ctrl_c(self) -> None:
        """At a person's pace: readline notices a signal only once it waits for a key."""
        time.sleep(0.5)
        self.type("\x03")

    def wait_for(self, pattern: str, seconds: float = PATIENCE) -> str:
        """What is shown up to the end of the first match; it is not seen again."""
        until = time.monotonic() + seconds
        while not (match := re.search(pattern, self.shown)):
            assert time.monotonic() < until, self.shown
            self._read()
        seen, self.shown = self.shown[: match.end()], self.shown[match.end() :]
        return seen

    def _read(self) -> None:
        import select

        if select.select([self._fd], [], [], 0.1)[0]:
            self.shown += os.read(self._fd, 65536).decode(errors="replace")

    def ended(self) -> int:
        """Wait for the end, and read on so that the program is not held up."""
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < until, self.shown
            try:
                self._read()
            except OSError:  # Linux reports the closed terminal like this
                return self.process.wait(PATIENCE)
        return self.process.returncode


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    pty: Any = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    controller, fd = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_llama", "chat", "--threads", "1", *arguments],
        stdin=fd,
        stdout=fd,
        stderr=fd,
        env={**os.environ, "TERM": "xterm"},
        preexec_fn=_take_terminal,
    )
    os.close(fd)
    try:
        yield Terminal(controller, process)
    finally:
        process.kill()
        process.wait()
        os.close(controller)


def _take_terminal() -> None:
    """Make stdin the controlling terminal, so that Ctrl-C reaches the process group."""
    if sys.platform != "win32":
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_conversation_at_the_terminal() -> None:
    with terminal("--temperature", "0") as screen:
        screen.wait_for("a tiny model")
        screen.wait_for("> ")
        screen.type("Hello!\r")
        screen.wait_for(r"\d+ tokens? .* first after \d+\.\d\d s")
        screen.type("/exit\r")
        assert screen.ended() == 0


def test_ctrl_c_stops_the_answer_and_not_the_program() -> None:
    with terminal("--temperature", "0") as screen:
        screen.wait_for("> ")
        screen.type("Count from 1 to 200.\r")
        screen.wait_for("3, 4, 5")
        screen.type("\x03")
        screen.wait_for("stopped")
        screen.wait_for("> ")
        screen.type("Hello!\r")
        screen.wait_for("first after")
        screen.wait_for("> ")
        screen.press_ctrl_c()
        screen.wait_for("Press Ctrl-C again")
        screen.press_ctrl_c()
        assert screen.ended() == 0


def test_a_paste_is_one_message() -> None:
    with terminal("--temperature", "0") as screen:
        screen.wait_for(r"\[\?2004h")
        screen.type("\x1b[200~Hello!\rone\rtwo\rthree\x1b[201~")
        time.sleep(0.3)
        screen.type("\r")
        screen.wait_for("first after")
        screen.wait_for("> ")
        screen.type("/exit\r")
        assert screen.ended() == 0
        assert "first after" not in screen.shown


def test_a_paste_is_one_message_also_where_the_terminal_does_not_tell() -> None:
    with terminal("--temperature", "0") as screen:
        screen.wait_for(r"\[\?2004h")
        screen.type("Hello!\rone\rtwo\r")
        screen.wait_for("first after")
        screen.wait_for("> ")
        screen.type("/exit\r")
        assert screen.ended() == 0
        assert "first after" not in screen.shown


def test_ctrl_d_leaves() -> None:
    with terminal() as screen:
        screen.wait_for("> ")
        screen.type("\x04")
        assert screen.ended() == 0
