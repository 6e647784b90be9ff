"""Asking a person before something happens."""

from __future__ import annotations

import sys

from edge_llama.cli.terminal.printable import printable
from edge_llama.errors import SettingsError


def confirm(question: str, *, yes: bool, default: bool = False) -> bool:
    """Whether to go on: `yes`, or what a person answers on the terminal.

    Args:
        yes: `--yes` was given, so nobody is asked.
        default: what an empty answer means.

    Raises:
        SettingsError: nobody is there to be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise SettingsError(f"{question} Nobody is here to answer: add --yes to do it.")
    sys.stderr.write(f"{printable(question)} [{'Y/n' if default else 'y/N'}] ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip().lower()
    return answer in ("y", "yes") if answer else default
