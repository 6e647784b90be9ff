"""Batch: the tokens of one step."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp
import numpy as np

from edge_llama.engine.binding.arrays import IntArray


class Batch:
    """Tokens of one step, filled through numpy views over the arrays that llama.cpp reads.

    Args:
        size: most tokens.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.n_tokens = 0
        self.n_outputs = 0
        self.reads_prompt = False
        self.gives_embeddings = False
        self._token = np.zeros(size, np.int32)
        self._pos = np.zeros(size, np.int32)
        self._seq_id = np.zeros(size, np.int32)
        self._output = np.zeros(size, np.int8)
        self._n_seq_id = np.ones(size, np.int32)
        address = self._seq_id.ctypes.data
        self._seq_id_ptr = np.arange(address, address + 4 * size, 4, dtype=np.uintp)
        self.struct = llama_cpp.llama_batch()
        for field, array in (
            ("token", self._token),
            ("pos", self._pos),
            ("n_seq_id", self._n_seq_id),
            ("seq_id", self._seq_id_ptr),
            ("logits", self._output),
        ):
            kind = dict(llama_cpp.llama_batch._fields_)[field]
            setattr(self.struct, field, ctypes.cast(array.ctypes.data, kind))

    def output_all(self) -> None:
        """Have all tokens give logits."""
        self._output[: self.n_tokens] = 1

    def clear(self) -> None:
        self.n_tokens = self.n_outputs = 0
        self.reads_prompt = self.gives_embeddings = False

    def add(
        self,
        tokens: Sequence[int] | IntArray,
        pos: int,
        seq_id: int,
        n_outputs: int,
        *,
        scored: bool = False,
        embedded: bool = False,
    ) -> int:
        """Append tokens of one sequence; the last `n_outputs` of them give logits.

        With `scored` all of them do, though they are a prompt's; with `embedded` all give
        embeddings, and all other tokens of the batch as well, and logits too.

        Returns:
            The batch index of the first token that gives something.
        """
        self.reads_prompt |= scored or embedded or n_outputs < len(tokens)
        self.gives_embeddings |= embedded
        if scored or embedded:
            n_outputs = len(tokens)
        start = self.n_tokens
        end = start + len(tokens)
        self._token[start:end] = tokens
        self._pos[start:end] = np.arange(pos, pos + len(tokens), dtype=np.int32)
        self._seq_id[start:end] = seq_id
        self._output[start : end - n_outputs] = 0
        self._output[end - n_outputs : end] = 1
        self.n_tokens = end
        self.n_outputs += n_outputs
        return end - n_outputs
