"""The tokens of a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a prompt.

    Attributes:
        id: its number in the vocabulary.
        text: what it stands for; None if its bytes are a part of a character only.
        data: its bytes; empty for control tokens, whose text is their spelling.
    """

    id: int
    text: str | None
    data: bytes

    @property
    def spelled(self) -> bytes:
        """Its bytes in a text that spells control tokens out."""
        return self.data or (self.text or "").encode()


def text_of(tokens: Iterable[Token]) -> str:
    """The text of tokens, control tokens spelled out; invalid bytes become U+FFFD."""
    return b"".join(token.spelled for token in tokens).decode(errors="replace")
