"""TruncatedSoftmax: draws from the likelier tokens."""

from __future__ import annotations

import numpy as np

from edge_llama.engine.binding import FloatArray
from edge_llama.engine.sample.top_k import top_k

BLOCK = 256
"""Tokens whose weights are added up before one is drawn among them."""


class TruncatedSoftmax:
    """The softmax of logits, cut by top-k, then temperature, top-p and min-p.

    Nothing is sorted: tokens are drawn from all, and drawn again while they are none of those that
    are left. A token is one of the top-p if those that are likelier have less than `top_p` of the
    probability in all. With a token that is refused go all that are no likelier.

    Args:
        n_vocab: entries of the vocabulary.
        temperature: above 0.
        top_k: keep this many most likely tokens; 0 keeps all.
        top_p: keep the most likely tokens whose probabilities add up to this.
        min_p: drop tokens less likely than this share of the most likely one.
        seed: the same draws for the same logits.
    """

    def __init__(
        self,
        n_vocab: int,
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        seed: int,
    ) -> None:
        self._scale = np.float32(1 / temperature)
        self._top_k = top_k
        self._top_p = top_p
        self._min_p = min_p
        self._random = np.random.default_rng(seed)
        self._weights = np.empty(n_vocab, np.float32)
        self._likelier = np.empty(n_vocab, np.float32)

    def draw(self, logits: FloatArray) -> int:
        """A token; the most likely one if the logits are no numbers.

        Args:
            logits: shape (n_vocab,); minus infinity excludes a token.
        """
        if not 0 < self._top_k < len(logits):
            return self._draw(logits)
        kept = top_k(logits, self._top_k)
        return int(kept[self._draw(logits[kept])])

    def _draw(self, logits: FloatArray) -> int:
        highest = logits.max()
        if not np.isfinite(highest):
            return int(np.argmax(logits))
        weights = self._weights[: len(logits)]
        likelier = self._likelier[: len(logits)]
        np.subtract(logits, highest, out=weights)
        np.multiply(weights, self._scale, out=weights)
        np.exp(weights, out=weights)
        top = self._top_p * float(weights.sum())
        while True:
            drawn = self._draw_any(weights)
            weight = weights[drawn]
            if weight == 1:
                return drawn
            np.multiply(weights, weights > weight, out=likelier)
            if weight > 0 and weight >= self._min_p and self._is_among(top, likelier):
                return drawn
            weights, likelier = likelier, weights

    def _is_among(self, top: float, likelier: FloatArray) -> bool:
        return self._top_p >= 1 or float(likelier.sum()) < top

    def _draw_any(self, weights: FloatArray) -> int:
        """An index with a probability in proportion to its weight: first a block, then in it."""
        block = self._draw_small(np.add.reduceat(weights, np.arange(0, len(weights), BLOCK)))
        start = block * BLOCK
        return start + self._draw_small(weights[start : start + BLOCK])

    def _draw_small(self, weights: FloatArray) -> int:
        sums = np.cumsum(weights, dtype=np.float64)
        place = np.searchsorted(sums, self._random.random() * sums[-1], side="right")
        return min(int(place), len(weights) - 1)
