"""The prompt as it reaches the engine: text and control tokens, told apart."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


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
