"""llama.cpp through llama-cpp-python's low-level binding: the only module that imports it.

Everything here trusts its arguments: llama.cpp aborts the process on many bad ones, so callers
validate first. Sizes and ids are checked by the scheduler and the KV cache above.
"""

from __future__ import annotations

import ctypes
import enum
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_llama.config import ENCODERS, KVType
from edge_llama.errors import ModelFileError

# How often GNU OpenMP's threads look for work before they sleep. With its default, 300,000, threads
# that wait at a barrier keep the CPU from the one they wait for as soon as another program wants it
# too: prompts of a small model were read 2.5 times slower. On an idle machine there is no
# difference. It is set before libgomp is loaded, which reads it then.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# A failed assertion would start gdb on the dying process.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")

import llama_cpp

logger = logging.getLogger("edge_llama.llama_cpp")

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]

_LOG_ERROR = 4
_LOG_CONTINUED = 5

CELL_MULTIPLE = 256
"""llama.cpp rounds the KV cache up to this, but bounds the batch by what it was asked for."""

_KV_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}


class _NativeLog:
    """Sends llama.cpp's log to Python logging, for debugging only, and keeps its errors.

    What goes wrong is raised by the functions below, with llama.cpp's own words; an interrupted
    decode logs errors too, and is none.
    """

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._level = 0
        self._line = ""
        self._callback = llama_cpp.llama_log_callback(self._write)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def first_error(self) -> str:
        """The first error since the last call: the cause, where later ones are its consequences."""
        errors, self._errors = self._errors, []
        return errors[0] if errors else ""

    def _write(self, level: int, text: bytes, _user_data: object) -> None:
        if level != _LOG_CONTINUED:
            self._level = level
        self._line += text.decode("utf-8", errors="replace")
        if not self._line.endswith("\n"):
            return
        line, self._line = self._line.strip(), ""
        if self._level == _LOG_ERROR and len(self._errors) < 100:
            self._errors.append(line)
        if line.strip("."):
            logger.debug("%s", line)


_native_log = _NativeLog()


def init_backend() -> None:
    """Start llama.cpp's backend. Call once per process."""
    llama_cpp.llama_backend_init()


def has_gpu() -> bool:
    return bool(llama_cpp.llama_supports_gpu_offload())


def version() -> str:
    """The release of llama-cpp-python, which tells that of llama.cpp."""
    return str(llama_cpp.__version__)


def system_info() -> str:
    """Backends and the instruction sets they were built for, e.g. `CPU : AVX = 1 | FMA = 1 | `."""
    info: bytes = llama_cpp.llama_print_system_info()
    return info.decode("utf-8", errors="replace")


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


class Vocab:
    """A model's vocabulary: text to token ids and back. Safe to use from any thread."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.n_tokens = int(llama_cpp.llama_vocab_n_tokens(handle))
        self.bos = int(llama_cpp.llama_vocab_bos(handle))
        self.add_bos = bool(llama_cpp.llama_vocab_get_add_bos(handle))
        self.eos = int(llama_cpp.llama_vocab_eos(handle))
        ids = range(self.n_tokens)
        self.control_tokens = {
            self.spelling(token): token
            for token in ids
            if llama_cpp.llama_vocab_is_control(handle, token)
        }
        self.eog_tokens = frozenset(
            token for token in ids if llama_cpp.llama_vocab_is_eog(handle, token)
        )
        self._pieces: list[bytes | None] = [None] * self.n_tokens

    @property
    def handle(self) -> Any:
        return self._handle

    @property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tokens before and after a whole text: `[CLS]` and `[SEP]` of a WordPiece vocabulary,
        else those that begin and end a sequence, as far as the GGUF wants them.
        """
        begin, end = self.bos, self.eos
        if llama_cpp.llama_vocab_type(self._handle) == llama_cpp.LLAMA_VOCAB_TYPE_WPM:
            end = int(llama_cpp.llama_vocab_sep(self._handle))
        else:
            begin = begin if self.add_bos else -1
            end = end if llama_cpp.llama_vocab_get_add_eos(self._handle) else -1
        return (begin,) * (begin >= 0), (end,) * (end >= 0)

    @property
    def tokenize_address(self) -> int | None:
        """Where `llama_tokenize` is, for native code that calls it."""
        return ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value

    def spelling(self, token: int) -> str:
        """How the vocabulary spells a token; empty if there is no such token."""
        if not 0 <= token < self.n_tokens:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self._handle, token)
        return text.decode("utf-8", errors="replace")

    def tokenize(self, text: str) -> list[int]:
        """Token ids of ordinary text; nothing in it is taken for a control token.

        What a vocabulary marks as USER_DEFINED, which Llama's does not, is still one token.
        """
        if not text:
            return []
        data = text.encode("utf-8")
        size = len(data) + 16
        ids = (ctypes.c_int32 * size)()
        n = llama_cpp.llama_tokenize(self._handle, data, len(data), ids, size, False, False)
        if n < 0:
            ids = (ctypes.c_int32 * -n)()
            n = llama_cpp.llama_tokenize(self._handle, data, len(data), ids, -n, False, False)
        return list(ids[:n])

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; empty for control tokens."""
        piece = self._pieces[token]
        if piece is None:
            piece = self._pieces[token] = self.read_piece(token)
        return piece

    def read_piece(self, token: int) -> bytes:
        """As `piece`, but does not keep it."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = llama_cpp.llama_token_to_piece(self._handle, token, buffer, size, 0, False)
            if n >= 0:
                return buffer.raw[:n]
            size = -n


class Model:
    """The weights of one GGUF file.

    Args:
        path: the GGUF.
        gpu_layers: layers to run on a GPU; -1 is all, 0 none.
        repack: rearrange weights for this CPU at load.
        mmap: map the file instead of reading it.

    Raises:
        ModelFileError: llama.cpp cannot load it, or it is neither a decoder-only transformer nor
            an encoder.
    """

    def __init__(
        self, path: Path, *, gpu_layers: int, repack: bool = False, mmap: bool = True
    ) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = repack
        params.load_mode = (
            llama_cpp.LLAMA_LOAD_MODE_MMAP if mmap else llama_cpp.LLAMA_LOAD_MODE_NONE
        )
        _native_log.first_error()
        self._handle = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self._handle:
            reason = _native_log.first_error()
            raise ModelFileError(f"{path.name} cannot be loaded. {reason}".strip())
        if self._is_unsupported():
            self.close()
            raise ModelFileError(
                f"{path.name} is neither a decoder-only transformer such as Llama nor an encoder "
                "such as BERT."
            )
        self.vocab = Vocab(llama_cpp.llama_model_get_vocab(self._handle))
        self.n_ctx_train = int(llama_cpp.llama_model_n_ctx_train(self._handle))
        original = self.architecture_metadata("rope.scaling.original_context_length")
        self.n_ctx_original = int(original) if original.isdigit() else self.n_ctx_train
        """Tokens of context before its rope is scaled."""
        self.n_embd = int(llama_cpp.llama_model_n_embd_out(self._handle))
        self.sliding_window = int(llama_cpp.llama_model_n_swa(self._handle))
        """Tokens that a token of some layers attends to; 0 if it is all of them in every layer."""
        self.n_params = int(llama_cpp.llama_model_n_params(self._handle))
        self.size_bytes = int(llama_cpp.llama_model_size(self._handle))

    def _is_unsupported(self) -> bool:
        return bool(
            llama_cpp.llama_model_has_encoder(self._handle)
            or not llama_cpp.llama_model_has_decoder(self._handle)
            or llama_cpp.llama_model_is_recurrent(self._handle)
            or llama_cpp.llama_model_is_hybrid(self._handle)
            or llama_cpp.llama_model_is_diffusion(self._handle)
        )

    @property
    def is_encoder(self) -> bool:
        """Every token attends to those after it too: it embeds texts and cannot continue them."""
        return (
            self.metadata("general.architecture") in ENCODERS
            or self.architecture_metadata("attention.causal") == "false"
        )

    @property
    def handle(self) -> Any:
        return self._handle

    @property
    def description(self) -> str:
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._handle, buffer, 256)
        return buffer.value.decode("utf-8", errors="replace")

    @property
    def quantization(self) -> str:
        """The file type as the hub spells it, e.g. `Q4_K_M`."""
        name: bytes = llama_cpp.llama_ftype_name(llama_cpp.llama_model_ftype(self._handle))
        text = name.decode().removeprefix("(guessed) ")
        for long, short in ((" - Small", "_S"), (" - Medium", "_M"), (" - Large", "_L")):
            text = text.replace(long, short)
        return text

    @property
    def chat_template(self) -> str:
        template: bytes | None = llama_cpp.llama_model_chat_template(self._handle, None)
        return template.decode("utf-8", errors="replace") if template else ""

    def metadata(self, key: str) -> str:
        """A scalar of the GGUF's metadata as text; empty if it is not there."""
        size = 1024
        buffer = ctypes.create_string_buffer(size)
        n = llama_cpp.llama_model_meta_val_str(self._handle, key.encode(), buffer, size)
        return buffer.value.decode("utf-8", errors="replace") if n >= 0 else ""

    def architecture_metadata(self, key: str) -> str:
        """A scalar that the GGUF has for its architecture, e.g. `pooling_type`; empty if not."""
        return self.metadata(f"{self.metadata('general.architecture')}.{key}")

    def close(self) -> None:
        if self._handle:
            llama_cpp.llama_model_free(self._handle)
            self._handle = None


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
        params = llama_cpp.llama_context_default_params()
        n_cells = -(-n_ctx // CELL_MULTIPLE) * CELL_MULTIPLE
        params.n_ctx = n_cells * n_seq_max if streams else n_cells
        params.n_seq_max = n_seq_max
        params.n_batch = max(batch_size, n_seq_max)
        params.n_ubatch = min(micro_batch, params.n_batch)
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        params.n_outputs_max = max(n_seq_max, n_outputs)
        self._threads, self._threads_batch = threads, threads_batch
        params.flash_attn_type = int(flash_attention)
        params.kv_unified = not streams
        params.no_perf = True
        # Texts are pooled by us, in as many steps as they need.
        params.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_NONE
        params.abort_callback = self.abort_flag.predicate
        params.abort_callback_data = self.abort_flag.data
        self._n_streams = n_seq_max if streams else 1
        self.kv_layout = " ".join(
            (
                f"llama-cpp-python={version()}",
                f"kv={kv_type}",
                f"flash_attention={flash_attention}",
                f"streams={streams}",
                f"rope={params.rope_scaling_type},{params.rope_freq_base},{params.rope_freq_scale}",
                # Some models have other rope factors for contexts beyond those of their training.
                f"long={n_cells > model.n_ctx_original}",
            )
        )
        """All that saved states depend on besides the model and their tokens, but for the rounding
        of the last bits: that differs with the CPU and with how a prompt is cut into steps too.
        """
        _native_log.first_error()
        self._handle = llama_cpp.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise ModelFileError(
                f"A context of {n_ctx} tokens ({kv_type}) cannot be made, most likely for lack of "
                f"memory. Choose a smaller --ctx-size. {_native_log.first_error()}".strip()
            )
        self._memory = llama_cpp.llama_get_memory(self._handle)
        if not self._memory and not model.is_encoder:
            self.close()
            raise ModelFileError("llama.cpp runs this model without a KV cache, so it cannot chat.")
        self._n_vocab = model.vocab.n_tokens
        self._n_embd = model.n_embd
        self._gives_embeddings = False

    @property
    def n_cells(self) -> int:
        """Cells of the KV cache."""
        return int(llama_cpp.llama_n_ctx(self._handle))

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
        llama_cpp.llama_set_n_threads(self._handle, threads, threads)
        _native_log.first_error()
        status = llama_cpp.llama_decode(self._handle, batch.struct)
        if status < 0 or status > DecodeStatus.ABORTED:
            raise DecodeError(f"llama_decode returned {status}. {_native_log.first_error()}")
        return DecodeStatus(status)

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
        size = llama_cpp.llama_state_seq_get_size(self._handle, seq_id)
        room = size + _STREAM_COUNTS
        state = np.empty(room, np.uint8) if into is None or len(into) < room else into
        written = llama_cpp.llama_state_seq_get_data(
            self._handle, _byte_pointer(state), size, seq_id
        )
        return _as_first_stream(state, written, seq_id if self._n_streams > 1 else 0)

    def restore_sequence(self, seq_id: int, state: ByteArray) -> bool:
        """Replace a sequence by a saved state; False if llama.cpp refuses it.

        It may be that of another sequence, also of a context with another number of streams.
        """
        if len(state) < _STREAMS.stop:
            return False
        state[_STREAMS].view("<u4")[:] = self._n_streams
        size = llama_cpp.llama_state_seq_set_data(
            self._handle, _byte_pointer(state), len(state), seq_id
        )
        return bool(size > 0)

    def close(self) -> None:
        if self._handle:
            llama_cpp.llama_free(self._handle)
            self._handle = None


_STREAMS = slice(8, 12)
"""Where a state has the number of streams: after a magic number and a sequence id."""

_STREAM_COUNTS = 4 * 256
"""Bytes in which a state says of all other streams that it has nothing of them."""


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
