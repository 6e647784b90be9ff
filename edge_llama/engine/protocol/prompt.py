"""The prompt as it reaches the engine: text and control tokens, told apart."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

MAX_PROMPT_BYTES = 4 * 1024 * 1024
"""As it is sent to the engine: 32 for each token of the longest context. Of much more, tokenizing
takes all the memory that an engine may have, and no error of it could be caught.
"""


class Text(msgspec.Struct, frozen=True, tag="text", array_like=True):
    """Ordinary text: tokenized with special-token parsing off, so it can forge no control token."""

    text: str


class Control(msgspec.Struct, frozen=True, tag="control", array_like=True):
    """One control token of the vocabulary, by its spelling, e.g. `<|eot_id|>`."""

    token: str


class Tokens(msgspec.Struct, frozen=True, tag="tokens", array_like=True):
    """Token ids taken as they are."""

    ids: tuple[int, ...]


Segment: TypeAlias = Text | Control | Tokens
Prompt: TypeAlias = tuple[Segment, ...]


def prompt_size(prompt: Prompt) -> int:
    """Characters of its texts and token ids, together."""
    return sum(
        len(segment.text) if isinstance(segment, Text) else len(segment.ids)
        for segment in prompt
        if not isinstance(segment, Control)
    )
