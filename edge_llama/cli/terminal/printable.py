"""Text from outside, fit for a line of a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with a replacement for each character that cannot be shown.

    Files and what they say of themselves have any name: ESC and its kin would let it command the
    terminal.
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
