from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from edge_llama.engine.blocks.index import MOST_TOKENS, BlockIndex, Child
from edge_llama.engine.blocks.name import BlockName, block_name
from tests.engine.blocks.making import BLOCK_SIZE, ROOT, tokens

A, B = BlockName(b"a" * 16), BlockName(b"b" * 16)


def children(n: int, parent: BlockName = ROOT) -> list[Child]:
    names = (block_name(parent, np.asarray([token], np.int32)) for token in range(n))
    return [Child(parent, name, BLOCK_SIZE) for name in names]


def taken(work: Callable[[], object]) -> int:
    """Bytes that are taken after `work` and were not before."""
    tracemalloc.start()
    work()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken


def known(index: BlockIndex, blocks: Iterable[Child]) -> int:
    return sum(index.tokens(child) is not None for child in blocks)


def test_a_block_is_found_below_its_parent() -> None:
    index = BlockIndex()
    index.add(Child(A, B, 7))
    assert index.get(A, B) == Child(A, B, 7)
    assert index.get(B, A) is None
    assert index.has_children(A)
    assert not index.has_children(B)
    assert list(index) == index.children(A) == [Child(A, B, 7)]


def test_what_was_added_last_is_at_the_end() -> None:
    index = BlockIndex()
    blocks = children(5)
    for child in blocks:
        index.add(child)
    assert index.children(ROOT) == blocks


def test_what_is_removed_leaves_nothing() -> None:
    index = BlockIndex()
    blocks = children(3)
    for child in blocks:
        index.add(child)
        index.keep_tokens(child, tokens(BLOCK_SIZE))
    for child in blocks:
        index.remove(child)
    assert not index.has_children(ROOT)
    assert list(index) == []
    assert known(index, blocks) == 0


def test_blocks_that_are_gone_leave_no_tokens() -> None:
    index = BlockIndex()
    blocks = children(10)
    for child in blocks:
        index.add(child)
        index.keep_tokens(child, tokens(BLOCK_SIZE))
    index.replace(blocks[7:])
    assert list(index) == blocks[7:]
    assert known(index, blocks[:7]) == 0
    assert known(index, blocks[7:]) == 3


def test_the_tokens_that_were_compared_last_are_kept() -> None:
    index = BlockIndex()
    blocks = children(MOST_TOKENS + 10)
    one = tokens(BLOCK_SIZE)
    for child in blocks[:MOST_TOKENS]:
        index.keep_tokens(child, one)
    assert index.tokens(blocks[0]) is not None
    for child in blocks[MOST_TOKENS:]:
        index.keep_tokens(child, one)
    assert known(index, blocks) == MOST_TOKENS
    assert index.tokens(blocks[0]) is not None
    assert index.tokens(blocks[1]) is None


@pytest.mark.parametrize("siblings", [1, 100])
def test_a_block_takes_little_memory(siblings: int) -> None:
    index = BlockIndex()

    def fill() -> None:
        for parent in children(2000 // siblings):
            for child in children(siblings, parent.name):
                index.add(child)

    assert taken(fill) / 2000 < (500 if siblings == 1 else 200)
