"""Child processes: how this package starts one of its own modules, and how that lives."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import edge_llama

_RUN = (
    "import sys, runpy; sys.path[:] = [p for p in sys.path if p]; "
    "{root!r} in sys.path or sys.path.insert(0, {root!r}); "
    "runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)


PR_SET_PDEATHSIG = 1
"""Of Linux's <sys/prctl.h>."""

SECRET_ENDINGS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
"""Environment variables with such names are kept from children."""


def module_command(module: str) -> list[str]:
    """The command line that runs a module of this package with this Python.

    The child finds this very package, and nothing that lies in the current folder; `-m` would look
    there first.
    """
    root = str(Path(edge_llama.__file__).resolve().parents[1])
    return [sys.executable, "-c", _RUN.format(root=root, module=module)]


def environment_without_secrets() -> dict[str, str]:
    """This process's environment, for a child that needs no key or token."""
    return {k: v for k, v in os.environ.items() if not k.upper().endswith(SECRET_ENDINGS)}


def live_with_parent() -> None:
    """Called first by a child whose life is its parent's to decide: it ends when its stdin does.

    Signals that are meant for the parent do nothing here. On Linux a child that is stopped
    (SIGSTOP) goes on when its parent dies, and so sees the end of its stdin.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        # Not SIGKILL: a running child has things to save. Linux sends this also when the thread
        # that started the child ends; then SIGCONT does nothing.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGCONT))
