"""BlockFolder: blocks as files, shared by all processes of a user.

```
<root>/kv/<model>-<parent>-<name>-<tokens>.kv
<root>/kv/parts/<name>.<process>.part            a block that is being written
<root>/kv/parts/lock                             held while files are written or removed
<root>/kv/models/<path>.json                     what is known of a model's file
```
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np

from edge_llama.engine.blocks.block_file import (
    MAX_SIZE,
    BadBlock,
    Block,
    read_block,
    read_header,
    write_block,
)
from edge_llama.engine.blocks.entry import MODEL_DIGITS, Entry, FileName, entries_of, remove
from edge_llama.engine.blocks.index import BlockIndex, Child
from edge_llama.engine.blocks.name import BlockName, block_name
from edge_llama.engine.kv.prefix_cache import TokenArray, common_prefix
from edge_llama.files.durable import naming_lock, writing_whole
from edge_llama.files.own_folder import make_own_folder, see_that_it_is_own

logger = logging.getLogger("edge_llama.engine")

ROOM_SHARE = 0.05
"""The part of all bytes that is freed at once when the folder is full."""

CHILDREN_READ = 1024
"""Most blocks whose tokens are compared to find the one that has most in common with a prompt."""

_NO_TOKENS = np.empty(0, np.int32)

_NO_BLOCK = (errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM, errno.EISDIR)
"""Errors of opening what is no file of ours: a link, a pipe, another user's file, a folder."""

_SETTLED = 0.1
"""Seconds after which a change of a folder is seen for sure by its time."""


class BlockFolder:
    """The blocks of one model in a folder that other models and processes use too.

    What is in the folder is kept in memory and read again when another process changed it.
    Methods may be called from any thread.

    Args:
        root: the folder, which need not exist; the blocks are below it.
        max_bytes: what all blocks of all models may take.
        fingerprint: of the model.
        max_file: bytes that the file of a block of the model has at most.
    """

    def __init__(
        self, root: Path, max_bytes: int, fingerprint: bytes = b"", *, max_file: int = MAX_SIZE
    ) -> None:
        self.path = root / "kv"
        self._parts = self.path / "parts"
        self._max_bytes = max_bytes
        self.fingerprint = fingerprint
        self.max_file = max_file
        self._model = fingerprint.hex()[:MODEL_DIGITS]
        self._mutex = Lock()
        self._index = BlockIndex()
        self._bad: set[Path] = set()
        self.n_damaged = 0
        """Files that could not be used and were removed."""
        self._seen = 0
        self._total = -1

    def prepare(self) -> None:
        """Make the folder if it is not there, and read it.

        Raises:
            OSError: it cannot be made, or is not this user's own.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._make_folders()
        with self._locked():
            self._remove_parts()
        self.refresh()

    def has(self, parent: BlockName, name: BlockName) -> bool:
        return self._child(parent, name) is not None

    def may_continue(self, parent: BlockName) -> bool:
        """Whether there are blocks after this one, or there may be because another process wrote
        since.
        """
        with self._mutex:
            return self._index.has_children(parent) or self._changed()

    def refresh(self) -> None:
        """Read the folder again if it was changed by another process."""
        with self._mutex:
            if self._changed():
                self._read_names()

    def find(
        self, parent: BlockName, tokens: TokenArray, block_size: int
    ) -> tuple[Child, int] | None:
        """The block after `parent` that has most in common with `tokens`, and how many tokens.

        Raises:
            OSError: the folder cannot be read.
        """
        self.refresh()
        if len(tokens) >= block_size:
            full = self._child(parent, block_name(parent, tokens[:block_size]))
            if full is not None:
                return full, block_size
        best: tuple[Child, int] | None = None
        for child in self._children(parent)[-CHILDREN_READ:]:
            length = common_prefix(self._tokens_of(child), tokens)
            if length > (best[1] if best else 0):
                best = child, length
        return best

    def read(self, child: Child) -> Block | None:
        """The block; None if it is not there any more, or damaged, which is logged.

        A damaged one is removed.
        """
        try:
            path = self.path_of(child)
            return read_block(path, child.name, self.fingerprint, max_size=self.max_file)
        except (BadBlock, OSError) as error:
            self._give_up(child, error)
        return None

    def add(self, block: Block) -> int:
        """Write a block if it is not there, instead of those that it continues.

        Returns:
            Bytes written; 0 if it was there, or is longer than the folder may be.

        Raises:
            OSError: the system refused, for instance because the disk is full; or the folder is
                gone, or not this user's own any more.
        """
        name, size = block.name, block.file_size
        with self._locked():
            self._remove_parts()
            self.refresh()
            if self.has(block.parent, name) or not self._make_room(size):
                return 0
            child = Child(block.parent, name, len(block.tokens))
            path = self.path_of(child)
            self._write(path, block)
            self._bad.discard(path)
            with self._mutex:
                self._index.add(child)
            self._count(size)
            self._remove_prefixes(block)
            self._note_change()
        return size

    def touch(self, chain: Sequence[BlockName], *, unless_within: float = 0.0) -> None:
        """Note that a chain of blocks was used.

        Args:
            chain: the root and names, each the parent of the next. Parents count as used later than
                what comes after them, so that they are removed later.
            unless_within: seconds within which the last of them need not have been used before.
        """
        found = [
            self.path_of(child)
            for parent, name in pairwise(chain)
            if (child := self._child(parent, name)) is not None
        ]
        now = time.time_ns()
        with suppress(OSError):
            if found and now - found[-1].stat().st_mtime_ns < unless_within * 1e9:
                return
        for depth, path in enumerate(found):
            with suppress(OSError):
                os.utime(path, ns=(now - depth, now - depth))

    def entries(self) -> list[Entry]:
        """All files, of all models, what is used longest ago first.

        Raises:
            OSError: the folder cannot be read.
        """
        found = [*entries_of(self.path), *entries_of(self._parts)]
        return sorted(found, key=lambda entry: entry.used)

    def prune(self, max_bytes: int | None = None) -> int:
        """Remove what was used longest ago until the rest is within `max_bytes`.

        Returns:
            Bytes that were freed.

        Raises:
            OSError: the folder cannot be read or written.
        """
        if not self.path.is_dir():
            return 0
        self._make_folders()
        most = self._max_bytes if max_bytes is None else max_bytes
        with self._locked():
            self._remove_parts()
            entries = self.entries()
            total = left = sum(entry.size for entry in entries)
            for entry in entries:
                if left <= most:
                    break
                left -= remove(entry)
            self._total = left
        return total - left

    def path_of(self, child: Child) -> Path:
        """Its file."""
        name = FileName(self._model, child.parent, child.name, child.n_tokens)
        return self.path / str(name)

    def _child(self, parent: BlockName, name: BlockName) -> Child | None:
        with self._mutex:
            return self._index.get(parent, name)

    def _children(self, parent: BlockName) -> list[Child]:
        with self._mutex:
            return self._index.children(parent)

    def _make_room(self, size: int) -> bool:
        if size > self._max_bytes:
            return False
        # Another thread that reads the folder again forgets the total at any time.
        total = self._total
        if total < 0:
            total = sum(entry.size for entry in self._blocks())
        if total + size > self._max_bytes:
            for entry in self._blocks():
                if total + size <= (1 - ROOM_SHARE) * self._max_bytes:
                    break
                total -= remove(entry)
            with self._mutex:
                self._read_names()
        self._total = total
        return True

    def _count(self, size: int) -> None:
        """Add to the total, if it is known."""
        with self._mutex:
            if self._total >= 0:
                self._total += size

    def _blocks(self) -> list[Entry]:
        """All files but those that are being written."""
        return [entry for entry in self.entries() if entry.model]

    def _remove_prefixes(self, block: Block) -> None:
        """Remove blocks whose tokens this one begins with."""
        for child in self._children(block.parent):
            shorter = block.tokens[: child.n_tokens]
            if child.n_tokens < len(block.tokens) and (
                block_name(block.parent, shorter) == child.name
            ):
                with suppress(OSError):
                    path = self.path_of(child)
                    size = path.lstat().st_size
                    path.unlink()
                    self._count(-size)
                self._forget(child)

    def _write(self, path: Path, block: Block) -> None:
        part = self._parts / f"{block.name.hex()}.{os.getpid()}.part"
        with writing_whole(path, part=part, private=True) as file:
            write_block(file, block)

    def _tokens_of(self, child: Child) -> TokenArray:
        with self._mutex:
            tokens = self._index.tokens(child)
        if tokens is None:
            try:
                tokens = read_header(self.path_of(child)).tokens
            except (BadBlock, OSError) as error:
                self._give_up(child, error)
                return _NO_TOKENS
            with self._mutex:
                self._index.keep_tokens(child, tokens)
        return tokens

    def _give_up(self, child: Child, error: BadBlock | OSError) -> None:
        """Forget a block that cannot be read; remove it if it never can."""
        self._forget(child)
        if isinstance(error, OSError) and error.errno not in _NO_BLOCK:
            return
        reason = error.strerror if isinstance(error, OSError) else error
        path = self.path_of(child)
        logger.warning("%s cannot be used and is removed: %s.", path, reason)
        self._bad.add(path)
        self.n_damaged += 1
        with suppress(OSError), self._locked():
            path.unlink(missing_ok=True)
            self._bad.discard(path)
            self._total = -1

    def _forget(self, child: Child) -> None:
        with self._mutex:
            self._index.remove(child)

    def _changed(self) -> bool:
        try:
            return self.path.stat().st_mtime_ns != self._seen
        except OSError:
            return False

    def _note_change(self) -> None:
        """What changed the folder is known already. Needs the lock, so that nobody else did."""
        with self._mutex, suppress(OSError):
            self._seen = self.path.stat().st_mtime_ns

    def _read_names(self) -> None:
        changed = self.path.stat().st_mtime_ns
        # What changes soon after may leave the same time.
        settled = time.time_ns() - changed > _SETTLED * 1e9
        self._seen = changed if settled else 0
        self._total = -1
        bad = {path.name for path in self._bad}
        with os.scandir(self.path) as entries:
            files = [FileName.parse(entry.name) for entry in entries if entry.name not in bad]
        self._index.replace(
            Child(file.parent, file.name, file.n_tokens)
            for file in files
            if file is not None and file.model == self._model
        )

    def _remove_parts(self) -> None:
        """Remove what a process that is gone was writing: with the lock, nobody else writes."""
        for entry in entries_of(self._parts):
            remove(entry)

    def _make_folders(self) -> None:
        for folder in (self.path, self._parts):
            make_own_folder(folder)

    def _see_that_it_is_own(self) -> None:
        for folder in (self.path, self._parts):
            see_that_it_is_own(folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock

        self._see_that_it_is_own()
        lock = FileLock(self._parts / "lock", mode=0o600)
        with naming_lock(lock.lock_file):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
