"""Names of blocks: what a block's KV depends on, hashed."""

from __future__ import annotations

import hashlib
from typing import NewType

from edge_llama.engine.kv.prefix_cache import TokenArray

BlockName = NewType("BlockName", bytes)
"""16 bytes.

```
root  = hash(fingerprint, cache domain)
block = hash(name of the parent, token ids)
```

So a name stands for all tokens from the first on, for the model and for whose they are; that all
cannot be read from it.
"""

PUBLIC = "public"
"""The cache domain of prefixes that were computed ahead of time: all others may read it."""

_NAME_BYTES = 16


def root_name(fingerprint: bytes, domain: str) -> BlockName:
    """The parent of the first blocks of a cache domain."""
    return _hash(b"root", fingerprint, domain.encode())


def block_name(parent: BlockName, tokens: TokenArray) -> BlockName:
    """The name of the block of these tokens after `parent`."""
    return _hash(b"block", parent, tokens.astype("<i4").tobytes())


def chain(root: BlockName, tokens: TokenArray, block_size: int) -> list[BlockName]:
    """The root and the names of all full blocks of `tokens`, each the parent of the next."""
    names = [root]
    for end in range(block_size, len(tokens) + 1, block_size):
        names.append(block_name(names[-1], tokens[end - block_size : end]))
    return names


def last_start(n_tokens: int, block_size: int) -> int:
    """Position where the last block of so many tokens begins."""
    return (n_tokens - 1) // block_size * block_size


def _hash(*parts: bytes) -> BlockName:
    digest = hashlib.blake2b(digest_size=_NAME_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return BlockName(digest.digest())
