"""Log-probabilities of output tokens, given out with the text they belong to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from edge_llama.engine.protocol.output import ScoredToken


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and the model's own log-probability of it.

    Attributes:
        text: the token; None if its bytes are a part of a character only.
        data: its bytes; empty for control tokens, whose text is their spelling.
        logprob: natural logarithm.
        top: the most likely tokens at its place, best first, as far as they were asked for.
        id: its number in the vocabulary.
    """

    text: str | None
    data: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()
    id: int = field(default=-1, compare=False)


class TokenNames:
    """Spells the tokens of a model.

    Args:
        control_tokens: ids by spelling.
    """

    def __init__(self, control_tokens: Mapping[str, int]) -> None:
        self._spellings = {token: spelling for spelling, token in control_tokens.items()}

    def text(self, token: int, piece: bytes) -> str | None:
        """A token of these bytes; None if they are a part of a character only."""
        if not piece:
            return self._spellings.get(token, "")
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return None

    def entry(self, of: ScoredToken) -> TokenLogprob:
        top = tuple(self.entry(each) for each in of.top)
        return TokenLogprob(self.text(of.token, of.piece), of.piece, of.logprob, top, of.token)


class LogprobQueue:
    """Holds entries back until the text of their tokens is out.

    A token belongs to the text in which it begins: of a character that is split over tokens, to
    all of them; of a stop string, to none that begin in it. One without text belongs to what
    follows it.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, TokenLogprob]] = []

    def put(self, entry: TokenLogprob, start: int) -> None:
        """Add the entry of a token before which `start` characters were whole."""
        self._waiting.append((start, entry))

    def take(self, released: int) -> tuple[TokenLogprob, ...]:
        """The entries that belong to the first `released` characters and were not yet taken."""
        count = bisect_left(self._waiting, released, key=itemgetter(0))
        taken = tuple(entry for _, entry in self._waiting[:count])
        del self._waiting[:count]
        return taken

    def rest(self) -> tuple[TokenLogprob, ...]:
        """The entries of tokens after the last text."""
        return tuple(entry for _, entry in self._waiting)
