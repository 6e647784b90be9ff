"""MemoryPlan: what a model takes while it runs.

The rules are those of llama.cpp as llama-cpp-python 0.3.36 has it: `src/llama-kv-cache.cpp`,
`build_attn_mha` in `src/llama-graph.cpp`, `output_reserve` in `src/llama-context.cpp`, and ggml's
allocator, which lets tensors share memory that are not needed at the same time. What it reserves
for each token of a step is `_token_bytes` to within 1 %; it was read from its log for the widths of
Llama 3.1 8B, 3.2 3B and 1B, 1,024 to 32,768 tokens of context and micro-batches of 64 to 512.
`edge-llama bench --scenario memory` holds the sum against a server that runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edge_llama.errors import SettingsError
from edge_llama.llama_cpp_facts import ATTENDED, most_at_once
from edge_llama.settings.engine import EngineSettings, KVLayout, KVType
from edge_llama.units import format_size
from edge_llama.weights.memory.model_shape import ModelShape

CELL_MULTIPLE = 256
"""llama.cpp rounds the KV cache up to this."""

F32_BYTES, F16_BYTES, I64_BYTES = 4, 2, 8
KV_BYTES: dict[KVType, float] = {"f16": F16_BYTES, "q8_0": 34 / 32}
"""Bytes of a number in the KV cache; q8_0 has a scale for each block of 32."""

Q8_0_BLOCK = 32

ENGINE_BYTES = 60_000_000
"""The engine process but for its model: Python, numpy, llama.cpp. Like the next two it was measured
on Linux x86-64 with Python 3.11, as resident memory; for this one with models of next to nothing.
"""

SERVER_BYTES = 55_000_000
"""The server's process: Python, Starlette, pydantic."""

TOKEN_BYTES = 290
"""A token of the vocabulary and its merge in llama.cpp's maps: what the engine process grew by from
vocabularies of 1,024 to 128,256 tokens.
"""

CANDIDATE_BYTES = 9
"""A token while one is chosen among them: two weights and a mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySummary:
    """What programs are told of a plan; sizes in bytes.

    Attributes:
        memory: all of the following.
        ctx_size: tokens of context.
        kv_type: how the KV cache is stored.
        kv_layout: whether requests share its context, or each has as much.
    """

    memory: int
    weights: int
    kv_cache: int
    compute: int
    process: int
    ctx_size: int
    kv_type: KVType
    kv_layout: KVLayout


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a model is run, and what that takes once its context has been full.

    Attributes:
        shape: the model.
        settings: how it is run; `ctx_size`, `kv_type` and `kv_layout` are chosen.

    Raises:
        SettingsError: one of these three is open.
    """

    shape: ModelShape
    settings: EngineSettings

    def __post_init__(self) -> None:
        for name in ("ctx_size", "kv_type", "kv_layout"):
            if getattr(self.settings, name) is None:
                raise SettingsError(f"{name} must be chosen before memory is planned.")

    def changed(self, **settings: Any) -> MemoryPlan:
        """The same model with some other settings."""
        return replace(self, settings=replace(self.settings, **settings))

    @property
    def ctx_size(self) -> int:
        """Tokens of the longest request."""
        assert self.settings.ctx_size is not None
        return self.settings.ctx_size

    @property
    def kv_type(self) -> KVType:
        """How keys and values are stored."""
        assert self.settings.kv_type is not None
        return self.settings.kv_type

    @property
    def kv_layout(self) -> KVLayout:
        """Whether all requests share `ctx_size` tokens, or each has as many."""
        assert self.settings.kv_layout is not None
        return self.settings.kv_layout

    @property
    def flash_attention(self) -> bool:
        """Whether llama.cpp's fused attention is used on a CPU: a quantized cache needs it, and
        encoders are faster with it.
        """
        return bool(self.settings.flash_attention) or self.kv_type != "f16" or self.shape.encoder

    @property
    def step(self) -> int:
        """Most tokens that are computed at once: for an encoder, a text as long as the context."""
        return (
            max(self.ctx_size, self.settings.micro_batch)
            if self.shape.encoder
            else self.settings.micro_batch
        )

    @property
    def attended(self) -> int:
        """Cells that a token attends to when the context is full."""
        tokens = self.step if self.shape.encoder else self.ctx_size
        return -(-tokens // CELL_MULTIPLE) * CELL_MULTIPLE

    @property
    def cells(self) -> int:
        """Tokens that the KV cache is made for."""
        return self.attended * (self.settings.parallel if self.kv_layout == "streams" else 1)

    @property
    def weights(self) -> int:
        """Bytes of the weights. They are mapped, so other processes may share them."""
        return self.shape.weight_bytes

    @property
    def repacked(self) -> int:
        """Bytes of the rearranged weights."""
        return self.weights if self.settings.repack else 0

    @property
    def kv_cache(self) -> int:
        """Bytes of keys and values. All are written at the start."""
        shape = self.shape
        numbers = self.cells * shape.kv_heads * (shape.key_length + shape.value_length)
        return round(numbers * KV_BYTES[self.kv_type])

    @property
    def compute(self) -> int:
        """Bytes of the largest step: activations, attention scores, logits."""
        return self._with_logits(max(map(self._step_bytes, self._depths)))

    @property
    def address_space(self) -> int:
        """Bytes that are set aside: llama.cpp has room for a full micro-batch at full depth, and
        does not use it.
        """
        reserved = self._with_logits(self.step * self._token_bytes(self.attended))
        return self.total - self.compute + reserved

    @property
    def process(self) -> int:
        """Bytes of the engine's and the server's processes without all that."""
        return ENGINE_BYTES + SERVER_BYTES + TOKEN_BYTES * self.shape.vocabulary

    @property
    def total(self) -> int:
        """Bytes of all."""
        return self.weights + self.repacked + self.kv_cache + self.compute + self.process

    @property
    def context(self) -> str:
        """The context in words, e.g. `4 x 8,192 tokens`."""
        each = f"{self.ctx_size:,} tokens"
        return f"{self.settings.parallel} x {each}" if self.kv_layout == "streams" else each

    def summary(self) -> MemorySummary:
        """The plan for programs."""
        return MemorySummary(
            memory=self.total,
            weights=self.weights,
            kv_cache=self.kv_cache,
            compute=self.compute,
            process=self.process,
            ctx_size=self.ctx_size,
            kv_type=self.kv_type,
            kv_layout=self.kv_layout,
        )

    def describe(self, budget: int) -> str:
        """The plan in one line, held against the bytes there are for it."""
        parts = [f"weights {format_size(self.weights)}"]
        if self.settings.repack:
            parts.append(f"repacked {format_size(self.repacked)}")
        if self.kv_cache:
            parts.append(f"KV cache {format_size(self.kv_cache)} ({self.context}, {self.kv_type})")
        parts.append(f"buffers {format_size(self.compute + self.process)}")
        if not self.kv_cache:
            parts[-1] += f" ({self.context})"
        return (
            f"{self.shape.title}: {' + '.join(parts)} = {format_size(self.total)} of "
            f"{format_size(budget)}"
        )

    @property
    def _depths(self) -> tuple[int, int]:
        """Where steps may take most: full ones as deep as they are computed, and at full depth."""
        return min(self.attended, ATTENDED // self.step), self.attended

    def _step_bytes(self, depth: int) -> int:
        """Bytes of a step whose tokens attend to `depth` cells."""
        size = self.step if self.flash_attention else min(self.step, most_at_once(depth))
        return size * self._token_bytes(depth)

    def _token_bytes(self, depth: int) -> int:
        """Bytes that a token of a micro-batch takes that attends to `depth` cells.

        ```
        attention         scores of all heads, their mask, residual, query, key, value, output
        feed-forward      gate, up and their product, residual, normed residual
        ```
        The two share memory. Without flash attention a copy of the scores as f16 comes on top,
        since the values that they are multiplied with are f16.
        """
        shape = self.shape
        feed_forward = 3 * (shape.embedding_length + shape.feed_forward_length)
        if self.flash_attention:
            return F32_BYTES * feed_forward + F16_BYTES * depth
        attention = shape.heads * depth + 5 * shape.embedding_length
        places = I64_BYTES * shape.kv_heads // shape.layers * shape.value_length
        return (
            F32_BYTES * (max(attention, feed_forward) + depth)
            + F16_BYTES * shape.heads * depth
            + places
        )

    def _with_logits(self, step_bytes: int) -> int:
        """Bytes of a step and of its logits, which use its memory, and of those that are kept."""
        return max(step_bytes, self._logits_bytes) + self._output_bytes

    @property
    def _logits_bytes(self) -> int:
        """The last of what a micro-batch takes, in the memory of all before: logits, and what they
        are computed of.
        """
        if self.shape.encoder:
            return 0
        rows = min(self.settings.micro_batch, self._output_rows)
        return rows * (self.shape.vocabulary + self.shape.embedding_length) * F32_BYTES

    @property
    def _output_rows(self) -> int:
        """Tokens of a step that give logits: one of every sequence, or all of a scored prompt."""
        sequences = self.settings.n_seq_max
        return max(sequences, self.settings.parallel + self.settings.scored_tokens)

    @property
    def _output_bytes(self) -> int:
        """The logits that are kept, and what choosing a token takes for running sequences.
        llama.cpp has room for those of an encoder too, which computes none, beside its embeddings.
        """
        if self.shape.encoder:
            return self.step * (self.shape.vocabulary + self.shape.embedding_length) * F32_BYTES
        running = self.settings.parallel * (F32_BYTES + CANDIDATE_BYTES)
        return self.shape.vocabulary * (self._output_rows * F32_BYTES + running)


def kv_types(shape: ModelShape) -> tuple[KVType, ...]:
    """How the keys and values of a model can be stored, the faster first."""
    whole = shape.key_length % Q8_0_BLOCK == shape.value_length % Q8_0_BLOCK == 0
    return ("f16", "q8_0") if whole else ("f16",)
