"""Child processes: how this package starts one of its own modules."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def module_command(module: str) -> list[str]:
    """The command line that runs a module of this package with this Python."""
    return [sys.executable, "-m", module]


def module_environment() -> dict[str, str]:
    """The child finds this very package, and nothing that lies in the current folder."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
