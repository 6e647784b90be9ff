"""Prompts of random token ids, and how what is fed with ids samples."""

from __future__ import annotations

import random
from collections.abc import Sequence

from edge_llama.engine.protocol.sampling_params import SamplingParams

SAMPLING = SamplingParams(ignore_eos=True)
"""Llama 3.1's own sampling, for all targets alike, but never an end before all tokens are out."""


class TokenPrompts:
    """Random ids of a vocabulary, the same for the same seed.

    Args:
        n_vocab: entries of the vocabulary.
        control: ids that are not to be used.
    """

    def __init__(self, n_vocab: int, control: Sequence[int]) -> None:
        self._ordinary = sorted(set(range(n_vocab)).difference(control))

    def of(self, n_tokens: int, seed: str) -> tuple[int, ...]:
        """A prompt of so many tokens."""
        return tuple(random.Random(seed).choices(self._ordinary, k=n_tokens))  # noqa: S311
