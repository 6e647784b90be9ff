"""Texts of random words for servers, which count their tokens themselves."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

INSTRUCTION = "Write a long story with all of these words."
"""So that a real model does not stop after a few tokens where `ignore_eos` is unknown."""


def random_words(n_words: int, seed: str) -> str:
    """Made-up words of three letters."""
    rng = random.Random(seed)  # noqa: S311
    return " ".join("".join(rng.choices(string.ascii_lowercase, k=3)) for _ in range(n_words))


def chat_message(n_words: int, seed: str) -> str:
    """What a user says, in so many made-up words and the instruction."""
    return f"{random_words(n_words, seed)} {INSTRUCTION}"


@dataclass(frozen=True, slots=True)
class WordRate:
    """How many tokens the words of a chat become.

    Attributes:
        per_word: tokens of a word.
        around: tokens of what stands around one message, template and instruction.
    """

    per_word: float
    around: float

    @classmethod
    def between(cls, fewer: tuple[int, int], more: tuple[int, int]) -> WordRate:
        """From two prompts, as (words, tokens)."""
        per_word = (more[1] - fewer[1]) / (more[0] - fewer[0])
        return cls(max(per_word, 0.1), fewer[1] - fewer[0] * per_word)

    def words(self, n_tokens: int) -> int:
        """Words of a chat's only message that make a prompt of about so many tokens."""
        return max(round((n_tokens - self.around) / self.per_word), 1)

    def plain_words(self, n_tokens: int) -> int:
        """Words of about so many tokens, with nothing around them."""
        return max(round(n_tokens / self.per_word), 1)
