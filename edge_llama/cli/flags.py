"""Flags: what a field of the settings is called by those who type commands.

Errors and plans of other rooms name a field in backticks: "`ctx_size` must be between ...".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from inspect import signature
from typing import Annotated, get_args, get_origin

from typer.models import OptionInfo

from edge_llama.cli.terminal.printable import printable

_FIELD = re.compile(r"`([a-z][a-z0-9_]*)`")
_running: ContextVar[Callable[..., object] | None] = ContextVar("running", default=None)


def runs(command: Callable[..., object] | None) -> None:
    """From now on texts are about `command`."""
    _running.set(command)


def with_flags(text: str, command: Callable[..., object] | None = None) -> str:
    """`text` with flags in the place of fields; a field that has none stays.

    Args:
        command: whose flags; None is the command that runs.
    """
    command = command or _running.get()
    if command is None or not _FIELD.search(text):
        return text
    flags = dict(_flags(command))
    return _FIELD.sub(lambda field: flags.get(field[1], field[0]), text)


def in_one_line(error: Exception) -> str:
    """What `error` says, with flags, and without line breaks and what cannot be shown."""
    return printable(with_flags(" ".join(str(error).split())))


def _flags(command: Callable[..., object]) -> Iterator[tuple[str, str]]:
    """Each parameter that is a flag, with it. A parameter has the name of the field."""
    for parameter in signature(command, eval_str=True).parameters.values():
        if get_origin(parameter.annotation) is Annotated:
            for option in get_args(parameter.annotation):
                if isinstance(option, OptionInfo):
                    # In an annotation, typer takes the first name of a flag for its default.
                    yield parameter.name, str(option.default).partition("/")[0]
