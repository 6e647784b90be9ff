"""BlockStore: reads and writes blocks, each in a thread of its own."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_llama.engine.blocks.block_file import Block, ByteArray
from edge_llama.engine.blocks.fingerprint import fingerprint
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.engine.blocks.model_hash import FileVersion, KnownHashes, hash_file
from edge_llama.engine.blocks.name import (
    PUBLIC,
    BlockName,
    block_name,
    chain,
    last_start,
    root_name,
)
from edge_llama.engine.blocks.prefix_file import add_prefix
from edge_llama.engine.blocks.reader import BlockReader
from edge_llama.engine.blocks.reading import Reading
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.protocol.stats import DiskStats
from edge_llama.settings.engine import CacheSettings

logger = logging.getLogger("edge_llama.engine")

WRITE_AHEAD = 2
MEMORY = 64 << 20
"""Blocks that may wait to be written, and bytes, unless there is only one."""

MOST_MEMORY = 128 << 20
"""Bytes that may wait to be written where they would be lost otherwise."""

FILE_ROOM = 64 << 20
"""Bytes that a block's file may have besides the KV of its tokens: far more than it has."""

NICE = 10
"""By how much the thread that hashes and writes is nicer than the others."""

PAUSE = 300.0
"""Seconds without writing after the disk was full or failed."""


@dataclass(frozen=True, slots=True)
class _Use:
    """Tokens that were in memory: their files count as used too."""

    tokens: TokenArray
    domain: str


@dataclass(frozen=True, slots=True)
class _Write:
    block: Block
    ancestors: list[BlockName]


class BlockStore:
    """Blocks of one model on disk. What it is asked for it does in two threads of its own.

    No failure of the disk comes back: what cannot be read is a miss, and what cannot be written is
    left out.

    Blocks are of the very bytes of a model's files. Until these are hashed, which happens in the
    background when a version of them is seen for the first time, nothing is read or written. With a
    prefix that was shipped there is something to wait for: the first prompt waits, though no longer
    than it takes to compute it.

    Args:
        settings: where, and how much.
        model: its files, as they were before they were loaded.
        label: the model as people call it.
        layout: what the bytes of the KV depend on besides the model.
        block_size: tokens of a full block.
        token_bytes: what the KV of a token takes at most.
        on_progress: called from those threads when a block was read or written.
    """

    def __init__(
        self,
        settings: CacheSettings,
        model: Sequence[FileVersion],
        *,
        label: str,
        layout: str,
        block_size: int,
        token_bytes: int,
        on_progress: Callable[[], None],
    ) -> None:
        self.stats = DiskStats()
        self._settings = settings
        self._model = model
        self._label = label
        self._layout = layout
        self._block_size = block_size
        self._max_file = block_size * token_bytes + FILE_ROOM
        self._on_progress = on_progress
        self._fingerprint = b""
        self._folder: BlockFolder | None = None
        self._failed = False
        self._paused_until = 0.0
        self._warned = False
        self._readings: queue.SimpleQueue[Reading | _Use] = queue.SimpleQueue()
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        # Counted by who gives and by the thread that writes, each alone: blocks and bytes.
        self._n_given = self._n_done = self._bytes_given = self._bytes_done = 0
        self._spare: queue.SimpleQueue[ByteArray] = queue.SimpleQueue()
        self._known = KnownHashes(Path(settings.folder) / "kv" / "models")
        self._hashes = self._known.find(model)
        self._opened = threading.Event()
        self._writer = threading.Thread(target=self._write_all, name="blocks-write", daemon=True)
        self._writer.start()
        threading.Thread(target=self._read_all, name="blocks-read", daemon=True).start()

    @property
    def n_writing(self) -> int:
        """Blocks that were given to `write` and are not written yet."""
        return self._n_given - self._n_done

    @property
    def can_write(self) -> bool:
        """Whether a block that is given to `write` now will be written soon."""
        return (
            self._folder is not None
            and (not self.n_writing or (self.n_writing < WRITE_AHEAD and self._held < MEMORY))
            and time.monotonic() >= self._paused_until
        )

    @property
    def can_hold(self) -> bool:
        """Whether there is memory for a block that is going to be lost."""
        return (
            self._folder is not None
            and self._held < MOST_MEMORY
            and time.monotonic() >= self._paused_until
        )

    @property
    def off(self) -> bool:
        """Nothing is going to be written any more, or for minutes."""
        return self._failed or time.monotonic() < self._paused_until

    @property
    def hashing(self) -> bool:
        """The model's files are being hashed: what there is of it cannot be told yet."""
        return self._hashes is None and not self._failed

    def has(self, tokens: TokenArray, domain: str) -> bool:
        """Whether the last block of `tokens` is there."""
        if self._folder is None:
            return False
        for each in {domain, PUBLIC}:
            parent, name = self._names(tokens, each)[-2:]
            if self._folder.has(parent, name):
                return True
        return False

    def read(
        self, prompt: TokenArray, domain: str, start: int, token_seconds: float | None
    ) -> Reading | None:
        """Begin to read what is there of a prompt after its first `start` tokens.

        Returns:
            None if there is nothing.
        """
        if self._failed or start == len(prompt):
            return None
        if self.hashing and self._settings.prefix is None:
            self.stats.hashing += 1
            return None
        before = prompt[: start - start % self._block_size]
        if self._folder is not None and not any(
            self._folder.may_continue(chain(self._root(each), before, self._block_size)[-1])
            for each in {domain, PUBLIC}
        ):
            self.stats.absent += 1
            return None
        reading = Reading(prompt, domain, start, token_seconds)
        self._readings.put(reading)
        return reading

    def use(self, tokens: TokenArray, domain: str) -> None:
        """Have the files of what was taken from memory count as used, at some time soon."""
        if self._folder is not None:
            self._readings.put(_Use(tokens, domain))

    def spare_buffer(self) -> ByteArray | None:
        """Memory of a block that was written, for the next one."""
        with suppress(queue.Empty):
            return self._spare.get_nowait()
        return None

    def write(self, tokens: TokenArray, state: ByteArray, domain: str) -> None:
        """Write the last block of `tokens`.

        Args:
            tokens: all from the first on.
            state: llama.cpp's state of the last block of them alone; its memory is used again.
        """
        names = self._names(tokens, domain)
        start = last_start(len(tokens), self._block_size)
        block = Block(self._fingerprint, names[-2], tokens[start:], state, self._label)
        self._n_given += 1
        self._bytes_given += len(state)
        self._writes.put(_Write(block, names[:-1]))

    def close(self, timeout: float) -> None:
        """Wait until all is written, for so many seconds at most."""
        if self._folder is not None:
            self._writes.put(None)
            self._writer.join(timeout)

    @property
    def _held(self) -> int:
        """Bytes that wait to be written."""
        return self._bytes_given - self._bytes_done

    def _root(self, domain: str) -> BlockName:
        return root_name(self._fingerprint, domain)

    def _names(self, tokens: TokenArray, domain: str) -> list[BlockName]:
        """The root and the blocks of `tokens`, the last of which need not be full."""
        start = last_start(len(tokens), self._block_size)
        names = chain(self._root(domain), tokens[:start], self._block_size)
        return [*names, block_name(names[-1], tokens[start:])]

    def _open(self) -> BlockFolder | None:
        """The folder, as soon as it is known which blocks in it are this model's."""
        try:
            hashes = self._hashes or self._hash()
        except OSError as error:
            self._fail("Prompts are not kept on disk, for %s cannot be hashed: %s.", error)
            return None
        self._fingerprint = fingerprint(hashes, self._layout)
        root = Path(self._settings.folder)
        folder = BlockFolder(
            root, self._settings.max_bytes, self._fingerprint, max_file=self._max_file
        )
        try:
            folder.prepare()
            if self._hashes is None:
                self._remember(hashes)
            if self._settings.prefix is not None:
                add_prefix(Path(self._settings.prefix), folder)
        except OSError as error:
            self._fail(
                "Prompts are not kept on disk, for %s cannot be used: %s. Choose another folder "
                "for the cache, or switch it off.",
                error,
            )
            return None
        self._hashes = hashes
        return folder

    def _hash(self) -> tuple[str, ...]:
        if self._settings.prefix is None:
            _yield_cpu()
        return tuple(hash_file(file) for file in self._model)

    def _remember(self, hashes: Sequence[str]) -> None:
        try:
            for file, sha256 in zip(self._model, hashes, strict=True):
                self._known.add(file, sha256)
        except OSError as error:
            logger.info("The model is going to be hashed again next time: %s", error)

    def _fail(self, text: str, error: OSError) -> None:
        # Not every call of the system says which file it is about.
        what, reason = error.filename or self._settings.folder, error.strerror or error
        logger.warning(text, what, reason)
        self._failed = True

    def _read_all(self) -> None:
        self._opened.wait()
        reader = self._reader()
        while True:
            item = self._readings.get()
            try:
                if reader is None:
                    pass
                elif isinstance(item, _Use):
                    reader.use(item.tokens, item.domain)
                else:
                    reader.read(item)
            except OSError as error:
                logger.debug("A prompt's blocks cannot be read: %s", error)
            except Exception:
                # The next prompt's may be.
                logger.exception("A prompt's blocks cannot be read.")
            finally:
                if isinstance(item, Reading):
                    item.finish()
                    self._on_progress()

    def _reader(self) -> BlockReader | None:
        if self._folder is None:
            return None
        size = self._block_size
        return BlockReader(self._folder, self._root, size, self.stats, self._on_progress)

    def _write_all(self) -> None:
        try:
            self._folder = self._open()
        except Exception:
            logger.exception("Prompts are not kept on disk.")
            self._failed = True
        folder = self._folder
        self._opened.set()
        self._on_progress()
        if folder is None:
            return
        _yield_cpu()
        while (write := self._writes.get()) is not None:
            self._write(folder, write)
            state = write.block.state
            self._bytes_done += len(state)
            if len(state) <= MEMORY and self._spare.qsize() < WRITE_AHEAD:
                self._spare.put(state if state.base is None else state.base)
            self._n_done += 1
            self._on_progress()

    def _write(self, folder: BlockFolder, write: _Write) -> None:
        try:
            if 0 < self._paused_until <= time.monotonic():
                folder.prepare()  # it may be gone
                self._paused_until = 0.0
            size = folder.add(write.block)
            folder.touch([*write.ancestors, write.block.name])
        except OSError as error:
            self._pause(error)
        except Exception:
            # The next block may be.
            logger.exception("A block of a prompt cannot be written.")
        else:
            self.stats.blocks_written += size > 0
            self.stats.bytes_written += size

    def _pause(self, error: OSError) -> None:
        self._paused_until = time.monotonic() + PAUSE
        if not self._warned:
            self._warned = True
            logger.warning(
                "Prompts are not kept on disk for now: %s: %s. Requests go on without it.",
                self._settings.folder,
                error.strerror or error,
            )


def _yield_cpu() -> None:
    """Leave the CPU to the threads that compute, where one thread can do that for itself."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
