"""What an engine has done since it was started, for those who watch it."""

from __future__ import annotations

import msgspec


class DiskStats(msgspec.Struct):
    """The prefix cache on disk.

    Attributes:
        blocks_written, bytes_written: to the disk.
        blocks_read, bytes_read: from it.
        hit_tokens: tokens of prompts that were taken from it.
        hashing: prompts that came while the model's files were still being hashed.
        absent: prompts of which nothing, or nothing more, was there.
        damaged: blocks that could not be used.
        slow: prompts of which the rest was sooner computed than read.
        no_room: prompts for whose blocks the KV cache had no room.
        unsaved: blocks that are to be written, at this moment.
        failed: nothing is written now, for the disk is full or failed.
    """

    blocks_written: int = 0
    bytes_written: int = 0
    blocks_read: int = 0
    bytes_read: int = 0
    hit_tokens: int = 0
    hashing: int = 0
    absent: int = 0
    damaged: int = 0
    slow: int = 0
    no_room: int = 0
    unsaved: int = 0
    failed: bool = False


class EngineStats(msgspec.Struct, kw_only=True):
    """All of an engine.

    Attributes:
        running, waiting: sequences at this moment; those that wait for their client wait too.
        prompt_tokens: tokens of prompts that were computed.
        cached_tokens: tokens of prompts that were not, in memory or on disk.
        generated_tokens: tokens of output.
        cells: tokens that fit into the KV cache.
        cells_used: those that it holds at this moment, for later prompts too.
        cells_idle: those of them that it holds for later prompts only; all when nothing runs.
        disk: the prefix cache on disk; None if there is none.
    """

    running: int = 0
    waiting: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    cells: int = 0
    cells_used: int = 0
    cells_idle: int = 0
    disk: DiskStats | None = None
