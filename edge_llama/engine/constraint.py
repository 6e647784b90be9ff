"""Constraint: which tokens may come next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher

from edge_llama.engine.binding import FloatArray

BitArray = npt.NDArray[np.uint8]
"""A bit per token of the vocabulary, the lowest of a byte first, padded to 32."""


def token_bits(n_vocab: int, tokens: frozenset[int] = frozenset()) -> BitArray:
    """Bits of which those of `tokens` are set."""
    bits = np.zeros(-(-n_vocab // 32) * 4, np.uint8)
    for token in tokens:
        bits[token >> 3] |= 1 << (token & 7)
    return bits


class ConstraintError(Exception):
    """Nothing can follow, or llguidance ran into a limit when it looked for what could."""


class Constraint:
    """A grammar's place in one output: what was said so far, and what may follow.

    Args:
        matcher: llguidance's, at the beginning of an output.
        n_vocab: entries of the vocabulary.
        eog_tokens: ids that end an output.
    """

    def __init__(self, matcher: LLMatcher, n_vocab: int, eog_tokens: frozenset[int]) -> None:
        self._matcher = matcher
        self._n_vocab = n_vocab
        self._eog_tokens = eog_tokens
        self._not_eog = ~token_bits(n_vocab, eog_tokens)
        self._allowed = token_bits(n_vocab)

    def copy(self) -> Constraint:
        """The same for another output; it goes on from here by itself."""
        return Constraint(self._matcher.deep_copy(), self._n_vocab, self._eog_tokens)

    @property
    def complete(self) -> bool:
        """The grammar is satisfied and nothing can follow."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def forced(self) -> list[int]:
        """The tokens that must follow, cut as the model's tokenizer would; they are accepted.

        Raises:
            ConstraintError: nothing can follow.
        """
        tokens = self._matcher.compute_ff_tokens()
        if tokens:
            self._matcher.consume_tokens(tokens)
        self._check()
        return tokens

    def mask(self, logits: FloatArray) -> bool:
        """Set the logits of tokens that cannot follow to minus infinity, in place.

        Args:
            logits: shape (n_vocab,).

        Returns:
            Whether anything but the end of the output can follow.

        Raises:
            ConstraintError: not even that can.
        """
        self._matcher.unsafe_compute_mask_ptr(self._allowed.ctypes.data, self._allowed.nbytes)
        self._check()
        forbidden = np.unpackbits(~self._allowed, count=self._n_vocab, bitorder="little")
        np.copyto(logits, -np.inf, where=forbidden.view(np.bool_))
        return bool((self._allowed & self._not_eog).any())

    def accept(self, token: int) -> None:
        """Go on after a token that the last mask left.

        Raises:
            ConstraintError: nothing can follow.
        """
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ConstraintError(self._matcher.get_error())
