from __future__ import annotations

import pytest

from edge_llama.bench.load.words import INSTRUCTION, WordRate, chat_message, random_words


def test_words_are_the_same_for_the_same_seed_only() -> None:
    assert random_words(5, "a") == random_words(5, "a")
    assert not set(random_words(50, "a").split()) & set(random_words(5, "b").split())
    assert len(random_words(50, "a").split()) == 50
    assert chat_message(2, "a") == f"{random_words(2, 'a')} {INSTRUCTION}"


def test_two_prompts_tell_what_a_word_takes() -> None:
    rate = WordRate.between((4, 58), (36, 122))
    assert (rate.per_word, rate.around) == (2.0, 50.0)
    assert rate.words(841) == pytest.approx(841 / 2 - 25, abs=1)
    assert rate.words(16) == 1
    assert rate.plain_words(841) == pytest.approx(841 / 2, abs=1)


def test_a_server_that_counts_no_words_does_no_harm() -> None:
    assert WordRate.between((4, 7), (36, 7)).words(17) == 100
