"""Writes blocks and is killed while it does, again and again; then sees what is left.

Run as a program of its own: it forks, and must have one thread.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import filelock  # noqa: F401  imported once, not by every child

from edge_llama.engine.blocks.folder import BlockFolder
from tests.engine.blocks.making import BLOCK_SIZE, FINGERPRINT, ROOT, block, tokens

BLOCKS = 12
SIZE = 50_000


def opened(root: Path) -> BlockFolder:
    folder = BlockFolder(root, 8 * SIZE, FINGERPRINT)
    folder.prepare()
    return folder


def write_for_ever(root: Path, told: int) -> None:
    """Tells of each block that is written."""
    folder = opened(root)
    while True:
        for seed in range(BLOCKS):
            folder.add(block(seed=seed, size=SIZE))
            os.write(told, b".")


def main(root: Path, times: int) -> None:
    chance = random.Random(0)
    for _ in range(times):
        heard, told = os.pipe()
        child = os.fork()
        if not child:
            write_for_ever(root, told)
        os.close(told)
        for _ in range(chance.randrange(4)):
            os.read(heard, 1)
        time.sleep(chance.uniform(0.0, 0.01))
        os.kill(child, signal.SIGKILL)
        os.close(heard)
        os.waitpid(child, 0)
        files = [path.stat().st_size for path in (root / "kv").rglob("*") if path.is_file()]
        assert sum(files) <= 8 * SIZE, "too much is kept"
    folder = opened(root)
    damaged = 0
    for seed in range(BLOCKS):
        match = folder.find(ROOT, tokens(BLOCK_SIZE, seed), BLOCK_SIZE)
        damaged += match is not None and folder.read(match[0]) is None
    left = [entry for entry in folder.entries() if entry.model]
    assert not damaged, f"{damaged} blocks are damaged"
    assert left, "nothing was written"
    assert all(entry.model for entry in folder.entries()), "halves of blocks pile up"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
