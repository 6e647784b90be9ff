"""SideReading: one prompt on its way through a side context."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable

from edge_llama.engine.binding import DecodeError
from edge_llama.engine.blocks.reading import LoadedBlock
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.side.context import CHUNK, PromptReader
from edge_llama.errors import ModelFileError

logger = logging.getLogger("edge_llama.engine")


class SideReading:
    """A thread that reads a prompt, block after block, for the step loop to take over.

    ```
    step loop ── feed: what is computed already ──→ thread ── take: what it computed ──→ step loop
    ```

    Args:
        prompt: the token ids; the last one is read too.
        start: tokens whose KV is there already, and will be fed.
        block_size: positions of a full block.
        open_reader: makes the context; called in the thread.
        on_progress: called from the thread when there is something to take, or the end.
    """

    def __init__(
        self,
        prompt: TokenArray,
        start: int,
        block_size: int,
        open_reader: Callable[[], PromptReader],
        on_progress: Callable[[], None],
    ) -> None:
        self.failed = True
        """There was no memory for the context, or llama.cpp failed or refused what was fed. Known
        when it has ended.
        """
        self.fed = 0
        """Tokens that were fed."""
        self._prompt = prompt
        self._start = start
        self._block_size = block_size
        self._open_reader = open_reader
        self._on_progress = on_progress
        self._fed: queue.SimpleQueue[LoadedBlock | None] = queue.SimpleQueue()
        self._ready: deque[LoadedBlock] = deque()
        self._reader: PromptReader | None = None
        self._retiring = self._cancelled = self._done = False
        self._thread = threading.Thread(target=self._run, name="side-prefill", daemon=True)
        self._thread.start()

    @property
    def hungry(self) -> bool:
        """More of what is computed already must be fed."""
        return self.fed < self._start

    def feed(self, block: LoadedBlock) -> None:
        """Give the next block of what is computed already."""
        self.fed = block.end
        self._fed.put(block)

    def take(self) -> LoadedBlock | None:
        """The next block that was computed, if it is there."""
        return self._ready.popleft() if self._ready else None

    def retire(self) -> None:
        """Have it stop after the step that it computes, and give what it has."""
        if not self._retiring:
            self._retiring = True
            self._fed.put(None)

    def cancel(self) -> None:
        """Have it stop as soon as can be."""
        self._cancelled = True
        self._ready.clear()
        self.retire()
        if self._reader is not None:
            self._reader.interrupt()

    @property
    def ended(self) -> bool:
        """Its memory is free, and all is taken."""
        # In this order: a block that is put before the end is seen.
        return self._done and (self._cancelled or not self._ready)

    def join(self, timeout: float) -> None:
        """Wait for the thread, for so many seconds at most."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            reader = self._open_reader()
            try:
                self._reader = reader
                if self._take_over(reader):
                    self._read(reader)
            finally:
                self._reader = None
                reader.close()
            self.failed = False
        except (DecodeError, ModelFileError) as error:
            logger.warning("A prompt is read in the steps of others: %s", error)
        finally:
            self._done = True
            self._on_progress()

    def _take_over(self, reader: PromptReader) -> bool:
        """Load what is fed; False if it does not come.

        Raises:
            DecodeError: llama.cpp refuses it.
        """
        while reader.length < self._start:
            block = self._fed.get()
            if block is None:
                return False
            if not reader.load(block):
                raise DecodeError("llama.cpp refuses the state of what was computed already.")
        return True

    def _read(self, reader: PromptReader) -> None:
        size, saved = self._block_size, self._start
        while reader.length < len(self._prompt) and not self._retiring:
            start = reader.length
            end = min(len(self._prompt), start + CHUNK, start - start % size + size)
            if not reader.read(self._prompt[start:end]) or self._cancelled:
                return
            if end % size == 0 or end == len(self._prompt):
                self._put(reader, saved)
                saved = end
        if reader.length > saved:
            self._put(reader, saved)

    def _put(self, reader: PromptReader, saved: int) -> None:
        """Have the step loop take the block around and after the first `saved` tokens."""
        start, end = saved - saved % self._block_size, reader.length
        self._ready.append(LoadedBlock(start, end - start, end, reader.save(start)))
        self._on_progress()
