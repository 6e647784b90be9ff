from __future__ import annotations

import numpy as np

from edge_llama.engine.blocks.unsaved import SMALLEST_TAIL, UnsavedBlocks
from tests.engine.blocks.making import tokens

SIZE = 10


def drain(unsaved: UnsavedBlocks) -> list[tuple[int, int]]:
    """Start and end of each block, in the order in which they are saved."""
    found = []
    while (block := unsaved.peek()) is not None:
        found.append((block.start, len(block.tokens)))
        unsaved.pop()
    return found


def test_full_blocks_are_those_that_end_in_what_is_new() -> None:
    unsaved = UnsavedBlocks(SIZE)
    unsaved.add_full(tokens(35), 0, "")
    assert drain(unsaved) == [(0, 10), (10, 20), (20, 30)]
    unsaved.add_full(tokens(35), 20, "")
    assert drain(unsaved) == [(20, 30)]
    unsaved.add_full(tokens(39), 31, "")
    assert drain(unsaved) == []


def test_every_block_is_offered_once_however_tokens_come() -> None:
    unsaved = UnsavedBlocks(SIZE)
    for before in range(64):
        unsaved.add_full(tokens(64)[: before + 1], before, "")
    assert drain(unsaved) == [(start, start + SIZE) for start in range(0, 60, SIZE)]


def test_a_tail_comes_after_full_blocks_and_is_worth_a_file() -> None:
    unsaved = UnsavedBlocks(SIZE)
    unsaved.add_tail(tokens(SIZE + SMALLEST_TAIL), "")
    unsaved.add_tail(tokens(SIZE + SMALLEST_TAIL - 1, seed=1), "")
    unsaved.add_tail(tokens(2 * SIZE, seed=2), "")
    unsaved.add_full(tokens(SIZE, seed=3), 0, "")
    assert drain(unsaved) == [(0, SIZE), (SIZE, SIZE + SMALLEST_TAIL)]


def test_a_longer_block_makes_a_tail_superfluous() -> None:
    text = tokens(SIZE)
    unsaved = UnsavedBlocks(SIZE)
    unsaved.add_tail(text[:6], "")
    unsaved.add_tail(text[:8], "")
    unsaved.add_tail(text[:5], "")
    assert len(unsaved) == 1
    unsaved.add_full(text, 8, "")
    assert drain(unsaved) == [(0, SIZE)]


def test_tails_of_other_domains_and_texts_stay() -> None:
    text = tokens(SIZE)
    other = np.concatenate([text[:5], text[:1] + 1, text[6:]])
    unsaved = UnsavedBlocks(SIZE)
    unsaved.add_tail(text[:6], "a")
    unsaved.add_tail(text[:6], "b")
    unsaved.add_full(text, 0, "a")
    assert len(unsaved) == 2
    unsaved.add_tail(other[:8], "b")
    assert len(unsaved) == 3
