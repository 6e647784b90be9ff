from __future__ import annotations

import numpy as np

from edge_llama.engine.blocks.name import BlockName, block_name, root_name
from edge_llama.engine.blocks.name import chain as chain_of
from edge_llama.engine.kv.prefix_cache import TokenArray

BLOCK_SIZE = 256

TOKENS = np.arange(3 * BLOCK_SIZE, dtype=np.int32)


def chain(root: BlockName, tokens: TokenArray) -> list[BlockName]:
    return chain_of(root, tokens, BLOCK_SIZE)


def test_a_name_depends_on_all_tokens_before_it() -> None:
    root = root_name(b"model", "key")
    other = TOKENS.copy()
    other[0] += 1
    names, others = chain(root, TOKENS), chain(root, other)
    assert names[0] == others[0] == root
    assert not set(names[1:]) & set(others[1:])


def test_a_name_depends_on_model_and_domain() -> None:
    roots = {root_name(model, domain) for model in (b"a", b"b") for domain in ("", "x", "y")}
    assert len(roots) == 6
    assert len({chain(root, TOKENS)[-1] for root in roots}) == 6


def test_what_is_not_full_has_no_name_in_the_chain() -> None:
    root = root_name(b"model", "")
    assert chain(root, TOKENS[: BLOCK_SIZE - 1]) == [root]
    assert chain(root, TOKENS[: 2 * BLOCK_SIZE + 5]) == chain(root, TOKENS[: 2 * BLOCK_SIZE])


def test_parts_are_told_apart() -> None:
    assert root_name(b"ab", "c") != root_name(b"a", "bc")
    root = root_name(b"", "")
    assert block_name(root, TOKENS[:1]) != block_name(root, TOKENS[:2])


def test_a_key_cannot_be_read_from_names() -> None:
    key = "0123456789abcdef"
    names = chain(root_name(b"model", key), TOKENS)
    assert all(key not in name.hex() and name.find(key.encode()) < 0 for name in names)
