"""Model: the weights."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import llama_cpp

from edge_llama.engine.binding.native_log import native_log
from edge_llama.engine.binding.vocab import Vocab
from edge_llama.errors import ModelFileError
from edge_llama.llama_cpp_facts import ENCODERS


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
        native_log.first_error()
        self._handle = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self._handle:
            reason = native_log.first_error()
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
    def n_head(self) -> int:
        """Heads of attention in a layer."""
        return int(llama_cpp.llama_model_n_head(self._handle))

    @property
    def n_kv_values(self) -> int:
        """Values that the KV cache holds for a token: its keys and values in all layers."""
        size = self.architecture_metadata("attention.key_length")
        head_size = int(size) if size.isdigit() else self.n_embd // max(1, self.n_head)
        n_layer = int(llama_cpp.llama_model_n_layer(self._handle))
        return 2 * n_layer * int(llama_cpp.llama_model_n_head_kv(self._handle)) * head_size

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
