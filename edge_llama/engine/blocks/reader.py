"""BlockReader: from a prompt to the blocks that hold it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from edge_llama.engine.blocks.block_file import Block
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.engine.blocks.index import Child
from edge_llama.engine.blocks.name import PUBLIC, BlockName, block_name, chain
from edge_llama.engine.blocks.reading import LoadedBlock, Reading
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.protocol.stats import DiskStats

THREADS = 2
"""Blocks that are read at the same time: to verify them takes longer than to read them."""

REFRESH = 600.0
"""Seconds after which a block that is used in memory only counts as used on disk too."""


@dataclass(frozen=True, slots=True)
class _Coming:
    """A block that is being read.

    Attributes:
        start: position of its first token.
        end: the position up to which it is the prompt's.
        block: None when it cannot be used.
    """

    start: int
    end: int
    block: Future[Block | None]


class BlockReader:
    """Follows the chain of a prompt's blocks in a folder. For one thread.

    Args:
        folder: the files.
        root: the name of a cache domain's root.
        block_size: tokens of a full block.
        stats: what was read is counted here.
        on_block: called for each block.
    """

    def __init__(
        self,
        folder: BlockFolder,
        root: Callable[[str], BlockName],
        block_size: int,
        stats: DiskStats,
        on_block: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._root = root
        self._block_size = block_size
        self._stats = stats
        self._on_block = on_block
        self._threads = ThreadPoolExecutor(THREADS, "blocks-verify")
        self._token_seconds = 0.0

    def use(self, tokens: TokenArray, domain: str) -> None:
        """Have the files of tokens that were taken from memory count as used."""
        folder = self._folder
        for each in {domain, PUBLIC}:
            names = chain(self._root(each), tokens, self._block_size)
            rest = tokens[(len(names) - 1) * self._block_size :]
            match = folder.find(names[-1], rest, self._block_size) if len(rest) else None
            if match is not None and match[1] in (len(rest), match[0].n_tokens):
                names.append(match[0].name)
            folder.touch(names, unless_within=REFRESH)

    def read(self, reading: Reading) -> None:
        """Read what there is of a prompt.

        Raises:
            OSError: the folder cannot be read.
        """
        size = self._block_size
        length = reading.start
        before = reading.prompt[: length - length % size]
        chains = [chain(self._root(each), before, size) for each in {reading.domain, PUBLIC}]
        coming: deque[_Coming] = deque()
        goes_on = True
        while not reading.cancelled:
            while goes_on and len(coming) < THREADS:
                found = self._find(reading, chains, length)
                if found is not None:
                    reading.found()
                    coming.append(found)
                    length = found.end
                goes_on = found is not None and length < len(reading.prompt)
            if not coming:
                break
            first = coming.popleft()
            block = first.block.result()
            if block is None:
                # Damaged, and removed: perhaps there is another one with the same beginning.
                coming.clear()
                goes_on = True
                length = max(first.start, reading.start)
                for names in chains:
                    del names[first.start // size + 1 :]
                continue
            self._stats.blocks_read += 1
            self._stats.bytes_read += len(block.state)
            reading.put(LoadedBlock(first.start, len(block.tokens), first.end, block.state))
            self._on_block()
        self._stats.damaged = self._folder.n_damaged
        for names in chains:
            self._folder.touch(names)

    def _find(self, reading: Reading, chains: list[list[BlockName]], length: int) -> _Coming | None:
        """What is read after the first `length` tokens; None if that is nothing."""
        size = self._block_size
        start = (len(chains[0]) - 1) * size
        if start > length:
            return None  # after a block of which only the beginning is the prompt's
        rest = reading.prompt[start : start + size]
        found = [match for names in chains if (match := self._folder.find(names[-1], rest, size))]
        child, common = max(found, key=lambda match: match[1], default=(None, 0))
        gain = start + common - length
        if child is None or gain <= 0:
            self._stats.absent += 1
            return None
        if not self._is_worth_it(child.n_tokens, gain, reading.token_seconds):
            self._stats.slow += 1
            return None
        for names in chains:
            names.append(child.name if common < size else block_name(names[-1], rest))
        return _Coming(start, start + common, self._threads.submit(self._timed, child))

    def _timed(self, child: Child) -> Block | None:
        began = time.perf_counter()
        block = self._folder.read(child)
        seconds = (time.perf_counter() - began) / child.n_tokens
        self._token_seconds = _average(self._token_seconds, seconds)
        return block

    def _is_worth_it(self, n_tokens: int, gain: int, token_seconds: float | None) -> bool:
        """Whether so many tokens are read sooner than some of them are computed."""
        return token_seconds is None or self._token_seconds * n_tokens < token_seconds * gain


def _average(before: float, seconds: float) -> float:
    """The average of the last few."""
    return seconds if not before else 0.75 * before + 0.25 * seconds
