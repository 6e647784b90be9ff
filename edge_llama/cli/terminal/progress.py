"""What is shown while a model is downloaded or read: a bar, lines, JSON or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edge_llama.cli.flags import with_flags
from edge_llama.cli.terminal.exit_codes import ExitCode, exit_code_of
from edge_llama.cli.terminal.printable import printable
from edge_llama.errors import EdgeLlamaError
from edge_llama.units import format_duration, format_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from edge_llama.weights.store.progress import Progress
    from edge_llama.weights.store.record import InstalledModel

VERBS = {
    "wait": "Waiting for another download of",
    "download": "Downloading",
    "verify": "Checking",
}
LINE_EVERY = 5.0
"""Seconds between two plain lines."""

EVENT_EVERY = 0.25
"""Seconds between two JSON events of the same phase."""


class ProgressMode(str, Enum):
    AUTO = "auto"
    BAR = "bar"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


class Display:
    """Shows the result and no progress; a context manager, whose end is that of what is drawn.

    Attributes:
        announces: whether the result is told on stdout.
    """

    announces = True

    def start(self, model: str, source: str, total: int | None) -> None:
        """A download begins: `total` bytes of `model` from `source`; None if unknown."""

    def update(self, progress: Progress) -> None:
        """Called as often as bytes arrive."""

    def done(self, model: InstalledModel, *, already: bool = False) -> None:
        """A model is installed, or `already` was."""
        self.close()
        if not self.announces:
            return
        what = f"{model.id} ({model.quantization}, {format_size(model.size)})"
        if already:
            sys.stdout.write(f"{what} is already installed.\n")
        else:
            sys.stdout.write(f"Installed {what}.\nTo talk to it: edge-llama chat {model.id}\n")

    def failed(self, name: str, message: str, code: ExitCode) -> None:
        """The work ended with an error or Ctrl-C, which is also told on stderr."""

    def close(self) -> None:
        """Leave the terminal as it was."""

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if isinstance(exc, EdgeLlamaError):
            message = with_flags(" ".join(str(exc).split()))
            self.failed(type(exc).__name__, message, exit_code_of(exc))
        elif isinstance(exc, KeyboardInterrupt):
            self.failed("Interrupted", "Interrupted with Ctrl-C.", ExitCode.INTERRUPTED)


class TextDisplay(Display):
    """Says on stderr what begins."""

    def start(self, model: str, source: str, total: int | None) -> None:
        size = "" if total is None else f" ({format_size(total)})"
        origin = "" if model.startswith(source) else f" from {source}"
        sys.stderr.write(f"Pulling {model}{size}{origin}\n")


class LineDisplay(TextDisplay):
    """A line on stderr every few seconds, for logs; none for what takes no longer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def update(self, progress: Progress) -> None:
        if (now := self._clock()) - self._last < LINE_EVERY:
            return
        self._last = now
        parts = [f"{VERBS[progress.phase]} {printable(progress.file)}".rstrip(), _figures(progress)]
        sys.stderr.write(": ".join(filter(None, parts)) + "\n")


class BarDisplay(TextDisplay):
    """A bar on stderr with size, speed and the time that is left."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._phase: str | None = None

    def update(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = _new_bar()
            self._bar.start()
        if self._task is None or progress.phase != self._phase:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task("", figures="")
            self._phase = progress.phase
        self._bar.update(
            self._task,
            description=VERBS[progress.phase].removesuffix(" of"),
            completed=progress.done,
            total=progress.total or None,
            figures=_figures(progress),
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


class JSONDisplay(Display):
    """One JSON object a line on stdout, for programs that embed this one.

    Every object has `event`; sizes are bytes, times seconds:

    - `start`: `model`, `source`, `total` (null if unknown)
    - `progress`, `verify` while the sha256 is computed, and `wait` while another process downloads
      the same: `file`, `done`, `total`, `rate` (bytes a second), `eta` (null if unknown); at most
      four a second
    - `done`: `id`, `path`, `bytes`, `sha256` (null if the model has several files), `files` (each
      with `path`, `bytes`, `sha256`), `already` (true if there was nothing to do)
    - `error`: `error` (its name, `Interrupted` after Ctrl-C), `message`, `exit_code`

    The last line is `done` or `error`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase: str | None = None
        self._last = 0.0

    def start(self, model: str, source: str, total: int | None) -> None:
        self._write("start", model=model, source=source, total=total)

    def update(self, progress: Progress) -> None:
        now = self._clock()
        finished = progress.done == progress.total
        if progress.phase == self._phase and now - self._last < EVENT_EVERY and not finished:
            return
        self._phase, self._last = progress.phase, now
        self._write(
            "progress" if progress.phase == "download" else progress.phase,
            file=progress.file,
            done=progress.done,
            total=progress.total,
            rate=round(progress.rate),
            eta=None if progress.eta is None else round(progress.eta, 1),
        )

    def done(self, model: InstalledModel, *, already: bool = False) -> None:
        files = [
            {"path": str(file.path), "bytes": file.size, "sha256": file.sha256}
            for file in model.files
        ]
        self._write(
            "done",
            id=model.id,
            path=str(model.path),
            bytes=model.size,
            sha256=model.files[0].sha256 if len(model.files) == 1 else None,
            files=files,
            already=already,
        )

    def failed(self, name: str, message: str, code: ExitCode) -> None:
        self._write("error", error=name, message=message, exit_code=code.value)

    def _write(self, event: str, **fields: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


def display_for(mode: ProgressMode, *, announces: bool = True) -> Display:
    """The display of `mode`; `auto` is a bar on a terminal and lines elsewhere."""
    if mode is ProgressMode.AUTO:
        mode = ProgressMode.BAR if sys.stderr.isatty() else ProgressMode.PLAIN
    kinds: dict[ProgressMode, type[Display]] = {
        ProgressMode.BAR: BarDisplay,
        ProgressMode.PLAIN: LineDisplay,
        ProgressMode.JSON: JSONDisplay,
        ProgressMode.NONE: Display,
    }
    display = kinds[mode]()
    display.announces = announces
    return display


def _figures(progress: Progress) -> str:
    if not progress.total:
        return ""
    parts = [f"{format_size(progress.done)} of {format_size(progress.total)}"]
    if progress.rate > 0:
        parts.append(f"{format_size(progress.rate)}/s")
    if progress.eta is not None and progress.done < progress.total:
        parts.append(f"{format_duration(progress.eta)} left")
    return ", ".join(parts)


def _new_bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}", markup=False, table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        expand=True,
        transient=True,
    )
