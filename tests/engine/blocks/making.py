"""Blocks for tests."""

from __future__ import annotations

import numpy as np

from edge_llama.engine.blocks.block_file import Block
from edge_llama.engine.blocks.name import BlockName, root_name
from edge_llama.engine.kv.prefix_cache import TokenArray

BLOCK_SIZE = 256
FINGERPRINT = bytes(range(16))
ROOT = root_name(FINGERPRINT, "")


def tokens(n: int, seed: int = 0) -> TokenArray:
    return np.random.default_rng(seed).integers(0, 1000, n).astype(np.int32)


def block(
    n_tokens: int = BLOCK_SIZE,
    *,
    seed: int = 0,
    parent: BlockName = ROOT,
    fingerprint: bytes = FINGERPRINT,
    size: int = 1000,
) -> Block:
    state = np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)
    return Block(fingerprint, parent, tokens(n_tokens, seed), state, "a model")
