"""Reading: blocks on their way from the disk to a sequence."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from edge_llama.engine.blocks.block_file import ByteArray
from edge_llama.engine.kv.prefix_cache import TokenArray

TOKEN_SECONDS = 0.02
"""What a token takes to compute, where that is not known yet: less than it does."""

READ_AHEAD = 3
"""Blocks that may wait to be taken over."""


@dataclass(frozen=True, slots=True)
class LoadedBlock:
    """A verified block.

    Attributes:
        start: position of its first token.
        n_tokens: tokens that it holds.
        end: the position up to which they are those of the prompt.
        state: llama.cpp's state of all its tokens.
    """

    start: int
    n_tokens: int
    end: int
    state: ByteArray


class Reading:
    """What a thread reads for a prompt, block after block, and the step loop takes over.

    Args:
        prompt: the token ids.
        domain: the cache domain.
        start: tokens whose KV is there already.
        token_seconds: what a token takes to compute; None if that is not known.
    """

    def __init__(
        self, prompt: TokenArray, domain: str, start: int, token_seconds: float | None
    ) -> None:
        self.prompt = prompt
        self.domain = domain
        self.start = start
        self.token_seconds = token_seconds
        self.cancelled = False
        self._ready: deque[LoadedBlock] = deque()
        self._room = threading.Semaphore(READ_AHEAD)
        self._done = False
        self._known = threading.Event()
        self._waiting_since = time.perf_counter()

    def found(self) -> None:
        """Called by the thread that reads: something will come."""
        self._known.set()

    def put(self, block: LoadedBlock) -> None:
        """Called by the thread that reads; waits until there is room."""
        self._room.acquire()
        self._ready.append(block)

    def finish(self) -> None:
        """Called by that thread when nothing more comes."""
        self._done = True
        self._known.set()

    def take(self) -> LoadedBlock | None:
        """The next block, if it is there."""
        if not self._ready:
            return None
        block = self._ready.popleft()
        self._room.release()
        self._waiting_since = time.perf_counter()
        return block

    def finds_nothing(self, within: float) -> bool:
        """Wait for so many seconds at most; whether it turns out that nothing comes."""
        self._known.wait(within)
        return self.ended

    def cancel(self) -> None:
        """Want no more; the thread that reads goes on with other work."""
        self.cancelled = True
        self._ready.clear()
        self._room.release()

    @property
    def ended(self) -> bool:
        """Nothing more comes."""
        # In this order: a block that is put before the end is seen.
        return self._done and not self._ready

    def overdue(self, n_tokens: int) -> bool:
        """Whether so many tokens would have been computed since the last block came."""
        if self._ready:
            return False
        waited = time.perf_counter() - self._waiting_since
        return waited > n_tokens * (self.token_seconds or TOKEN_SECONDS)
