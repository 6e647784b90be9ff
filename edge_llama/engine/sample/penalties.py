"""Penalties: logits of tokens that occurred already, made lower."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge_llama.engine.binding import FloatArray
from edge_llama.engine.protocol.sampling_params import SamplingParams


class Occurrences:
    """How often each token occurred, as arrays that grow with the tokens that are different."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._tokens = np.zeros(64, np.intp)
        self._counts = np.zeros(64, np.float32)

    def add(self, token: int) -> None:
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._tokens[place] = token
        self._counts[place] += 1

    @property
    def tokens(self) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Ids, each once."""
        return self._tokens[: len(self._places)]

    @property
    def counts(self) -> FloatArray:
        """How often each of `tokens` occurred."""
        return self._counts[: len(self._places)]


class Penalties:
    """The penalties of one output, as llama.cpp's `penalties` sampler has them.

    Args:
        params: which, and how strong.
        prompt: token ids that the repetition penalty counts as seen.
    """

    def __init__(self, params: SamplingParams, prompt: Iterable[int]) -> None:
        self._repetition = params.repetition_penalty
        self._frequency = params.frequency_penalty
        self._presence = params.presence_penalty
        self._seen, self._said = Occurrences(), Occurrences()
        for token in prompt if self._repetition != 1 else ():
            self._seen.add(token)

    def accept(self, token: int) -> None:
        """Count a token of the output."""
        if self._repetition != 1:
            self._seen.add(token)
        self._said.add(token)

    def apply(self, logits: FloatArray) -> None:
        """Change logits in place.

        Args:
            logits: shape (n_vocab,).
        """
        if self._repetition != 1:
            seen = self._seen.tokens
            found = logits[seen]
            away = np.where(found > 0, 1 / self._repetition, self._repetition)
            logits[seen] = found * away
        if self._frequency != 0 or self._presence != 0:
            said = self._said
            logits[said.tokens] -= said.counts * self._frequency + self._presence
