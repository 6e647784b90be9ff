"""The tokens of a text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_llama.chat.logprobs import TokenNames


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


PART = 4096
"""Tokens that are looked at in one go: a few milliseconds of work."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The tokens of a text, of which there may be millions: each takes the four bytes of its id,
    and what it stands for is found when it is asked for.

    Attributes:
        ids: of all tokens, in order.
        pieces: the bytes of each different token.
        names: of the model's tokens.
    """

    ids: memoryview[int]
    pieces: Mapping[int, bytes]
    names: TokenNames

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Token]:
        for part in self.parts():
            kinds = {token.id: token for token in part.kinds()}
            yield from map(kinds.__getitem__, part.ids)

    def kinds(self) -> Iterator[Token]:
        """Each different token, in any order."""
        for id in set(self.ids):
            piece = self.pieces[id]
            yield Token(id, self.names.text(id, piece), piece)

    def parts(self) -> Iterator[TokenRow]:
        """Rows of at most `PART` tokens, which are these together."""
        for start in range(0, len(self.ids), PART):
            yield TokenRow(self.ids[start : start + PART], self.pieces, self.names)

    def texts(self) -> Iterator[str]:
        """The text, a part after the other; control tokens are spelled out, invalid bytes become
        U+FFFD.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for part in self.parts():
            spelled = {token.id: token.spelled for token in part.kinds()}
            yield decoder.decode(b"".join(map(spelled.__getitem__, part.ids)))
        yield decoder.decode(b"", final=True)
