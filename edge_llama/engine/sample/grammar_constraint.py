"""GrammarConstraint: an output that a grammar describes from its beginning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer

from edge_llama.engine.binding import FloatArray
from edge_llama.engine.constraint import ConstraintError

BitArray = npt.NDArray[np.uint8]
"""A bit per token of the vocabulary, the lowest of a byte first, padded to 32."""


class GrammarConstraint:
    """A grammar's place in one output.

    Args:
        matcher: llguidance's, at the beginning of an output.
        tokenizer: llguidance's, of the vocabulary.
        n_vocab: entries of the vocabulary.
        eog_tokens: ids that end an output.
    """

    def __init__(
        self,
        matcher: LLMatcher,
        tokenizer: LLTokenizer,
        n_vocab: int,
        eog_tokens: frozenset[int],
    ) -> None:
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._n_vocab = n_vocab
        self._eog_tokens = eog_tokens
        self._not_eog = ~_bits(n_vocab, eog_tokens)
        self._allowed = _bits(n_vocab)

    def copy(self) -> GrammarConstraint:
        matcher = self._matcher.deep_copy()
        return GrammarConstraint(matcher, self._tokenizer, self._n_vocab, self._eog_tokens)

    @property
    def complete(self) -> bool:
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def forced(self) -> list[int]:
        tokens = self._matcher.compute_ff_tokens()
        if tokens:
            self._matcher.consume_tokens(tokens)
        self._check()
        return tokens

    def mask(self, logits: FloatArray) -> bool:
        self._matcher.unsafe_compute_mask_ptr(self._allowed.ctypes.data, self._allowed.nbytes)
        self._check()
        forbidden = np.unpackbits(~self._allowed, count=self._n_vocab, bitorder="little")
        np.copyto(logits, -np.inf, where=forbidden.view(np.bool_))
        return bool((self._allowed & self._not_eog).any())

    def accept(self, token: int) -> bool:
        self._matcher.consume_token(token)
        self._check()
        return True

    def read(self, text: bytes) -> bool:
        """Go on after a text, however it is cut into tokens.

        Returns:
            Whether it can follow; if not, this is of no more use.
        """
        tokens = self._tokenizer.tokenize_bytes(text)
        return self._matcher.try_consume_tokens(tokens) == len(tokens)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ConstraintError(self._matcher.get_error())


def _bits(n_vocab: int, tokens: frozenset[int] = frozenset()) -> BitArray:
    """Bits of which those of `tokens` are set."""
    bits = np.zeros(-(-n_vocab // 32) * 4, np.uint8)
    for token in tokens:
        bits[token >> 3] |= 1 << (token & 7)
    return bits
