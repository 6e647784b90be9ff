"""AbortFlag: how a running decode is interrupted."""

from __future__ import annotations

import ctypes
import sys

import llama_cpp


class AbortFlag:
    """A byte that makes a running `llama_decode` return within one graph node.

    The predicate given to llama.cpp is libc's `strlen` over a string of one byte: it needs no GIL,
    where a Python callback would be called some 280 times a step.
    """

    def __init__(self) -> None:
        self._byte = ctypes.create_string_buffer(2)
        libc = ctypes.CDLL("msvcrt") if sys.platform == "win32" else ctypes.CDLL(None)
        self.predicate = ctypes.cast(libc.strlen, llama_cpp.ggml_abort_callback)
        self.data = ctypes.cast(self._byte, ctypes.c_void_p)

    def set(self) -> None:
        self._byte[0] = b"\x01"

    def clear(self) -> None:
        self._byte[0] = b"\x00"
