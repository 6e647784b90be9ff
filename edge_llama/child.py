"""Child processes: how this package starts one of its own modules."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_RUN = (
    "import sys, runpy; sys.path[:] = [p for p in sys.path if p]; "
    "{root!r} in sys.path or sys.path.insert(0, {root!r}); "
    "runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)


SECRET_ENDINGS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
"""Environment variables with such names are kept from children."""


def module_command(module: str) -> list[str]:
    """The command line that runs a module of this package with this Python.

    The child finds this very package, and nothing that lies in the current folder; `-m` would look
    there first.
    """
    root = str(Path(__file__).resolve().parent.parent)
    return [sys.executable, "-c", _RUN.format(root=root, module=module)]


def environment_without_secrets() -> dict[str, str]:
    """This process's environment, for a child that needs no key or token."""
    return {k: v for k, v in os.environ.items() if not k.upper().endswith(SECRET_ENDINGS)}
