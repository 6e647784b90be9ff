"""Context: the KV cache and how a step is computed."""

from __future__ import annotations

import enum
from typing import Any

import llama_cpp
import numpy as np

from edge_llama.engine.binding import sequence_state
from edge_llama.engine.binding.abort_flag import AbortFlag
from edge_llama.engine.binding.arrays import ByteArray, FloatArray
from edge_llama.engine.binding.backend import version
from edge_llama.engine.binding.batch import Batch
from edge_llama.engine.binding.model import Model
from edge_llama.engine.binding.native_log import native_log
from edge_llama.errors import ModelFileError
from edge_llama.settings.engine import KVType

CELL_MULTIPLE = 256
"""llama.cpp rounds the KV cache up to this, but bounds the batch by what it was asked for."""

_KV_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}


class DecodeStatus(enum.IntEnum):
    """What `llama_decode` returns (llama.h)."""

    OK = 0
    NO_SLOT = 1
    ABORTED = 2


class DecodeError(RuntimeError):
    """`llama_decode` failed for a reason that no retry mends."""


class Context:
    """A model's KV cache and compute buffers.

    The cache is either unified, one for all sequences, or has a stream for each of them.

    Args:
        model: the weights.
        n_ctx: cells of the unified cache, or of each stream; rounded up to a multiple of
            `CELL_MULTIPLE`.
        n_seq_max: most sequence ids, at most 256.
        batch_size: most tokens of one `decode`.
        micro_batch: most tokens that are computed at once.
        kv_type: how keys and values are stored; q8_0 needs flash attention.
        streams: give every sequence id cells of its own.
        threads: threads of a step that reads no prompt.
        threads_batch: threads of a step that does.
        flash_attention: use llama.cpp's fused attention.
        n_outputs: most tokens of one `decode` that give logits, if more than `n_seq_max`.

    Attributes:
        kv_layout: names what saved states depend on; another one cannot take them over.

    Raises:
        ModelFileError: llama.cpp cannot make a context, most likely for lack of memory.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_ctx: int,
        n_seq_max: int,
        batch_size: int,
        micro_batch: int = 256,
        kv_type: KVType = "f16",
        streams: bool = False,
        threads: int,
        threads_batch: int,
        flash_attention: bool,
        n_outputs: int = 0,
    ) -> None:
        self._model = model
        self.abort_flag = AbortFlag()
        n_cells = -(-n_ctx // CELL_MULTIPLE) * CELL_MULTIPLE
        params = _default_params(self.abort_flag)
        params.n_ctx = n_cells * n_seq_max if streams else n_cells
        params.n_seq_max = n_seq_max
        params.n_batch = max(batch_size, n_seq_max)
        params.n_ubatch = min(micro_batch, params.n_batch)
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        params.n_outputs_max = max(n_seq_max, n_outputs)
        params.flash_attn_type = int(flash_attention)
        params.kv_unified = not streams
        self._threads, self._threads_batch = threads, threads_batch
        self._n_lent = 0
        self._n_streams = n_seq_max if streams else 1
        self.is_long = n_cells > model.n_ctx_original
        """Some models have other rope factors for contexts beyond those of their training."""
        self.kv_layout = _kv_layout(params, kv_type, long=self.is_long)
        self._open(params, n_ctx, kv_type)
        self._n_vocab = model.vocab.n_tokens
        self._n_embd = model.n_embd
        self._gives_embeddings = False

    def _open(self, params: Any, n_ctx: int, kv_type: KVType) -> None:
        native_log.first_error()
        self._handle = llama_cpp.llama_init_from_model(self._model.handle, params)
        if not self._handle:
            raise ModelFileError(
                f"A context of {n_ctx} tokens ({kv_type}) cannot be made, most likely for lack of "
                f"memory. Choose a smaller `ctx_size`. {native_log.first_error()}".strip()
            )
        self._memory = llama_cpp.llama_get_memory(self._handle)
        if not self._memory and not self._model.is_encoder:
            self.close()
            raise ModelFileError("llama.cpp runs this model without a KV cache, so it cannot chat.")

    @property
    def n_cells(self) -> int:
        """Cells of the KV cache."""
        return int(llama_cpp.llama_n_ctx(self._handle))

    def lend_threads(self, n: int) -> None:
        """Compute on at most all threads but `n`, which others use; on one at least."""
        self._n_lent = n

    def decode(self, batch: Batch) -> DecodeStatus:
        """Compute a batch. Not thread safe.

        Raises:
            DecodeError: llama.cpp reports a fault.
        """
        batch.struct.n_tokens = batch.n_tokens
        if batch.gives_embeddings:
            batch.output_all()
        if batch.gives_embeddings != self._gives_embeddings:
            self._gives_embeddings = batch.gives_embeddings
            llama_cpp.llama_set_embeddings(self._handle, self._gives_embeddings)
        # llama.cpp itself takes a step of several sequences for one that reads a prompt.
        threads = self._threads_batch if batch.reads_prompt else self._threads
        left = max(self._threads_batch, self._threads) - self._n_lent
        threads = max(1, min(threads, left))
        llama_cpp.llama_set_n_threads(self._handle, threads, threads)
        native_log.first_error()
        status = llama_cpp.llama_decode(self._handle, batch.struct)
        if status < 0 or status > DecodeStatus.ABORTED:
            raise DecodeError(f"llama_decode returned {status}. {native_log.first_error()}")
        return DecodeStatus(status)

    def try_out(self) -> None:
        """Compute a token and forget it. Only for a context that holds nothing.

        Raises:
            DecodeError: llama.cpp reports a fault.
        """
        batch = Batch(1)
        batch.add([0], 0, 0, 1, embedded=self._model.is_encoder)
        batch.reads_prompt = self._threads_batch >= self._threads
        if (status := self.decode(batch)) is not DecodeStatus.OK:
            raise DecodeError(f"llama_decode returned {status}.")
        self.clear()

    def logits(self, index: int) -> FloatArray:
        """Logits of the token at a batch index: shape (n_vocab,), a view until the next decode."""
        pointer = llama_cpp.llama_get_logits_ith(self._handle, index)
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))

    def embeddings(self, index: int, n: int) -> FloatArray:
        """Embeddings of `n` tokens from a batch index on: shape (n, n_embd), a copy."""
        pointers = (
            llama_cpp.llama_get_embeddings_ith(self._handle, each)
            for each in range(index, index + n)
        )
        return np.stack(
            [np.ctypeslib.as_array(pointer, shape=(self._n_embd,)) for pointer in pointers]
        )

    def remove(self, seq_id: int, start: int = 0, end: int = -1) -> None:
        """Forget positions `start` to `end` (exclusive; -1 is all that follow) of a sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, seq_id, start, end)

    def clear(self) -> None:
        """Forget all sequences."""
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, False)

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Give `target` positions `start` to `end` (exclusive; -1 is all) of `source`.

        In a unified cache they are shared and no data moves. Between streams only all of it can be
        copied, instead of what `target` has; the data moves when the next `decode` begins.
        """
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, start, end)

    def length(self, seq_id: int) -> int:
        """Positions held for a sequence."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, seq_id)) + 1

    def save_sequence(self, seq_id: int, into: ByteArray | None = None) -> ByteArray:
        """The KV state of one sequence, to be given to `restore_sequence`.

        Args:
            into: memory to use, if it is large enough: new pages cost more than the copying.
        """
        stream = seq_id if self._n_streams > 1 else 0
        return sequence_state.save(self._handle, seq_id, stream=stream, into=into)

    def restore_sequence(self, seq_id: int, state: ByteArray) -> bool:
        """Replace a sequence by a saved state; False if llama.cpp refuses it.

        It may be that of another sequence, also of a context with another number of streams.
        """
        return sequence_state.restore(self._handle, seq_id, state, n_streams=self._n_streams)

    def close(self) -> None:
        if self._handle:
            llama_cpp.llama_free(self._handle)
            self._handle = None


def _default_params(abort_flag: AbortFlag) -> Any:
    """llama.cpp's parameters of every context of ours."""
    params = llama_cpp.llama_context_default_params()
    params.no_perf = True
    # Texts are pooled by us, in as many steps as they need.
    params.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_NONE
    params.abort_callback = abort_flag.predicate
    params.abort_callback_data = abort_flag.data
    return params


def _kv_layout(params: Any, kv_type: KVType, *, long: bool) -> str:
    """All that saved states depend on besides the model and their tokens, but for the rounding of
    the last bits: that differs with the CPU and with how a prompt is cut into steps too.
    """
    return " ".join(
        (
            f"llama-cpp-python={version()}",
            f"kv={kv_type}",
            f"flash_attention={bool(params.flash_attn_type)}",
            f"streams={not params.kv_unified}",
            f"rope={params.rope_scaling_type},{params.rope_freq_base},{params.rope_freq_scale}",
            f"long={long}",
        )
    )
