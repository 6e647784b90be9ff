"""Where messages come from: a person at the terminal, or a pipe."""

from __future__ import annotations

import codecs
import locale
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from edge_llama.errors import SettingsError
from edge_llama.units import format_size

MOST_BYTES = 64 << 20
"""Of a message from a pipe: more than any model's context holds."""

PASTE_SECONDS = 0.02
"""How soon after a line the next one of a paste is there."""

_ENCODINGS_BY_MARK = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def check_arguments(model: str, prompt: str | None, *, lines: bool) -> None:
    """Refuse what cannot be meant.

    Args:
        model: the command's first argument.
        prompt: its second.
        lines: each line of a pipe is a message.

    Raises:
        SettingsError: the first is a message, or they exclude each other.
    """
    if prompt is None and any(map(str.isspace, model)) and not Path(model).exists():
        raise SettingsError(
            f'"{model}" stands where the model\'s name belongs. Write: edge-llama chat demo '
            f"{shlex.quote(model)}"
        )
    if lines and prompt is not None:
        raise SettingsError("--lines and PROMPT exclude each other. Leave one of them out.")


def whole_message(prompt: str | None, *, lines: bool) -> str | None:
    """The one message that is to be answered; None for a conversation, line by line.

    Raises:
        SettingsError: what was given is no message.
    """
    if lines or (prompt is None and sys.stdin.isatty()):
        return None
    piped = "" if sys.stdin.isatty() else read_all(sys.stdin.buffer)
    message = "\n\n".join(part.strip() for part in (prompt or "", piped) if part.strip())
    if not message:
        what = "stdin" if prompt is None else "PROMPT"
        raise SettingsError(f"There is nothing to answer: {what} is empty.")
    return message


def read_all(stream: BinaryIO) -> str:
    """The text of a pipe or file, up to its end: one message.

    Raises:
        SettingsError: it is no text, or longer than `MOST_BYTES`.
    """
    data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise SettingsError(
            f"stdin has more than {format_size(MOST_BYTES)}, which no model's context holds. "
            "Send a part of it."
        )
    return _decode(data).replace("\r\n", "\n")


def _decode(data: bytes) -> str:
    marked = (name for mark, name in _ENCODINGS_BY_MARK.items() if data.startswith(mark))
    encodings = (*marked, "utf-8", locale.getpreferredencoding(False))
    for encoding in encodings:
        with suppress(UnicodeDecodeError, LookupError):
            if "\0" not in (text := data.decode(encoding)):
                return text
    raise SettingsError("stdin is not text but binary data. Convert it to UTF-8 text first.")


def line_reader(interactive: bool) -> Callable[[str], str]:
    """Reads the next message line for a prompt; raises EOFError at the end.

    At a terminal, lines that are pasted together come as one text: readline knows where a paste
    begins and ends if the terminal tells (bracketed paste). Else the lines that are there at once
    belong together.
    """
    if not interactive:
        return lambda prompt: input()
    with suppress(ImportError):  # Windows has none: its console edits lines by itself
        import readline

        # Python turns it off, for its own prompt. libedit, as on macOS, knows no such word.
        readline.parse_and_bind("set enable-bracketed-paste on")
    return _read_pasted


def _read_pasted(prompt: str) -> str:
    lines = [input(prompt)]
    with suppress(EOFError):
        while not lines[0].startswith("/") and _more_waits():
            lines.append(input())
    return "\n".join(lines)


def _more_waits() -> bool:
    """Whether the terminal has another line already."""
    if sys.platform == "win32":
        import msvcrt
        import time

        time.sleep(PASTE_SECONDS)
        return msvcrt.kbhit()
    import select

    return bool(select.select([sys.stdin], [], [], PASTE_SECONDS)[0])
