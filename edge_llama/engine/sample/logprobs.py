"""Log-probabilities: what the model itself thought of a token, before any sampling change."""

from __future__ import annotations

import numpy as np

from edge_llama.engine.binding import FloatArray, Vocab
from edge_llama.engine.protocol.output import ScoredToken
from edge_llama.engine.sample.top_k import top_k

LOWEST = -9999.0
"""Stands for minus infinity, which JSON does not have; OpenAI's API uses the same."""


class LogProbabilities:
    """log-softmax of the logits at one position; a copy, so that masks set later do not show.

    Args:
        logits: shape (n_vocab,).
    """

    def __init__(self, logits: FloatArray) -> None:
        self._shifted = logits - logits.max()
        self._log_sum = float(np.log(np.exp(self._shifted).sum(dtype=np.float64)))

    def of(self, token: int) -> float:
        """Natural logarithm of a token's probability, at least `LOWEST`."""
        value = float(self._shifted[token]) - self._log_sum
        return value if value > LOWEST else LOWEST

    def best(self, n: int) -> list[int]:
        """The `n` most likely tokens, best first."""
        if n <= 0:
            return []
        n = min(n, len(self._shifted))
        ids = top_k(self._shifted, n)
        order = np.lexsort((ids, -self._shifted[ids]))
        return [int(token) for token in ids[order]]

    def entry(self, token: int, n_top: int, vocab: Vocab) -> ScoredToken:
        """What there is to tell about a token, with the `n_top` most likely ones at its place."""
        top = tuple(self._plain(each, vocab) for each in self.best(n_top))
        return ScoredToken(token, vocab.piece(token), self.of(token), top)

    def _plain(self, token: int, vocab: Vocab) -> ScoredToken:
        return ScoredToken(token, vocab.piece(token), self.of(token))
