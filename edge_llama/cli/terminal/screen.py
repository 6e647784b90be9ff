"""Where the chat writes: a terminal with notes and colours, or a pipe with answers only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

# A model can emit any byte; ESC and its kin would let it command the terminal.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class Screen:
    """Args: interactive: a person is at both ends of the terminal."""

    def __init__(self, interactive: bool) -> None:
        self.interactive = interactive
        self._out = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._status: Status | None = None

    def write(self, text: str) -> None:
        """Model text, at once and without a line end. Ends a `busy` sign."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self.interactive:
            text = text.translate(_CONTROLS)
        sys.stdout.write(text)
        sys.stdout.flush()

    def end_line(self) -> None:
        """Leave the line on which the person was typing."""
        if self.interactive:
            self.write("\n")

    def note(self, text: str) -> None:
        """A remark of the program; not for pipes."""
        if self.interactive:
            self._out.print(text.translate(_CONTROLS), style="dim")

    def complain(self, text: str) -> None:
        """What went wrong; from a pipe it goes to stderr."""
        if self.interactive:
            self._out.print(text.translate(_CONTROLS), style="yellow")
        else:
            sys.stderr.write(f"edge-llama: {text}\n")

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """A sign of life until text is written or the block is left; not for pipes."""
        if not self.interactive:
            yield
            return
        self._status = self._out.status(text, spinner_style="dim")
        with self._status:
            yield
        self._status = None
