"""The KV state of one sequence as bytes, as if its context had no other stream before it."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp
import numpy as np

from edge_llama.engine.binding.arrays import ByteArray

_STREAMS = slice(8, 12)
"""Where a state has the number of streams: after a magic number and a sequence id."""

_STREAM_COUNTS = 4 * 256
"""Bytes in which a state says of all other streams that it has nothing of them."""


def save(context: Any, seq_id: int, *, stream: int, into: ByteArray | None = None) -> ByteArray:
    """The state of a sequence.

    Args:
        context: llama.cpp's.
        stream: which of its streams has the sequence.
        into: memory to use, if it is large enough.
    """
    size = llama_cpp.llama_state_seq_get_size(context, seq_id)
    room = size + _STREAM_COUNTS
    state = np.empty(room, np.uint8) if into is None or len(into) < room else into
    written = llama_cpp.llama_state_seq_get_data(context, _byte_pointer(state), size, seq_id)
    return _as_first_stream(state, written, stream)


def restore(context: Any, seq_id: int, state: ByteArray, *, n_streams: int) -> bool:
    """Replace a sequence by a saved state; False if llama.cpp refuses it.

    Args:
        context: llama.cpp's.
        n_streams: how many streams it has.
    """
    if len(state) < _STREAMS.stop:
        return False
    state[_STREAMS].view("<u4")[:] = n_streams
    size = llama_cpp.llama_state_seq_set_data(context, _byte_pointer(state), len(state), seq_id)
    return bool(size > 0)


def _as_first_stream(state: ByteArray, size: int, stream: int) -> ByteArray:
    """A state of one stream among others, as if it were the first of as many as can be.

    Format: `llama_kv_cache::state_write`: the number of streams, then for each the count of its
    cells, which is followed by their data if it is not 0.
    """
    start = 4 * stream
    state[start : start + _STREAMS.stop] = state[: _STREAMS.stop].copy()
    state[size : size + _STREAM_COUNTS] = 0
    return state[start : size + _STREAM_COUNTS]


def _byte_pointer(array: ByteArray) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
