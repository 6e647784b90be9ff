"""SideContext: where a prompt is read beside the step loop."""

from __future__ import annotations

from typing import Protocol

from edge_llama.engine.binding import Batch, Context, DecodeStatus
from edge_llama.engine.blocks.reading import LoadedBlock
from edge_llama.engine.kv.kv_cache import ByteArray
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.kv.unified_kv_cache import UnifiedKVCache

CHUNK = 128
"""Tokens of a step: larger ones are hardly faster, and who changes his mind waits for it."""


class PromptReader(Protocol):
    """What a `SideReading` needs of `SideContext`."""

    @property
    def length(self) -> int:
        """Tokens of the prompt that are computed."""

    def load(self, block: LoadedBlock) -> bool:
        """Take over a block of what was computed elsewhere; False if llama.cpp refuses it."""

    def read(self, tokens: TokenArray) -> bool:
        """Compute at most `CHUNK` more tokens; False if that was interrupted.

        Raises:
            DecodeError: llama.cpp reports a fault.
        """

    def save(self, start: int) -> ByteArray:
        """llama.cpp's state of all from position `start` on."""

    def interrupt(self) -> None:
        """Have `read` return soon; from any thread."""

    def close(self) -> None: ...


class SideContext:
    """A context for one prompt.

    Args:
        context: for two sequences in a unified cache, the prompt and one through which states come
            and go, and for steps of `CHUNK` tokens; closed together with this.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kv = UnifiedKVCache(context, context.n_cells, 1)
        self._seq_id = self._kv.allocate()
        self._batch = Batch(CHUNK)

    @property
    def length(self) -> int:
        return self._kv.length(self._seq_id)

    def load(self, block: LoadedBlock) -> bool:
        return self._kv.load(self._seq_id, block.state, block.n_tokens, block.end) == block.end

    def read(self, tokens: TokenArray) -> bool:
        start = self.length
        self._batch.clear()
        self._batch.add(tokens, start, self._seq_id, n_outputs=0)
        if self._context.decode(self._batch) is not DecodeStatus.OK:
            return False
        self._kv.extend(self._seq_id, len(tokens))
        return True

    def save(self, start: int) -> ByteArray:
        return self._kv.save(self._seq_id, start, self.length)

    def interrupt(self) -> None:
        self._context.abort_flag.set()

    def close(self) -> None:
        self._context.close()
