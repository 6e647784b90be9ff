"""Models of real shapes with random weights: they cost the same as the real ones, and know nothing.

So the speed of a model on this machine is known before its gigabytes are downloaded.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs

from edge_llama.bench.synthetic.blocks import Floats, RandomWeights, WeightFormat
from edge_llama.bench.synthetic.gguf_writer import HeaderValue, Tensor, write_gguf
from edge_llama.bench.synthetic.vocabulary import Vocabulary, synthetic_vocabulary
from edge_llama.errors import SettingsError

FORMAT_VERSION = 1
"""Part of the cached files' names: raised when what is written changes."""

SEED = 20240723
ROPE_ORIGINAL_CONTEXT = 8192
ROPE_LOW_FREQ_FACTOR = 1.0
ROPE_HIGH_FREQ_FACTOR = 4.0
FILE_TYPES = {WeightFormat.F32: 0, WeightFormat.F16: 1, WeightFormat.Q8_0: 7, None: 15}
"""llama.cpp's `general.file_type`; 15 is Q4_K_M."""

Q4_K_M = "Q4_K_M"
QUANTIZATIONS = {Q4_K_M: None, "Q8_0": WeightFormat.Q8_0, "F16": WeightFormat.F16}
"""How matrices are stored; None is Q4_K_M's mix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The dimensions of a Llama.

    Attributes:
        n_layer: transformer blocks.
        n_embd: width of the residual stream.
        n_ff: width of the feed-forward layers.
        n_head: attention heads.
        n_head_kv: heads of keys and values.
        head_dim: width of a head.
        n_vocab: entries of the vocabulary, control tokens included.
        n_control: control tokens, the last of the vocabulary.
        n_ctx: tokens of context it claims to be trained for.
        rope_factor: how far Llama 3.1's RoPE scaling stretches the original 8,192 tokens.
        tied: the token embeddings are the output matrix too.
    """

    n_layer: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    head_dim: int
    n_vocab: int = 128_256
    n_control: int = 256
    n_ctx: int = 131_072
    rope_factor: float = 32.0
    tied: bool = True


SHAPES = {
    "15m": Shape(
        n_layer=8,
        n_embd=256,
        n_ff=768,
        n_head=4,
        n_head_kv=2,
        head_dim=64,
        n_vocab=32_000,
    ),
    "llama-3.2-1b": Shape(n_layer=16, n_embd=2048, n_ff=8192, n_head=32, n_head_kv=8, head_dim=64),
    "llama-3.2-3b": Shape(n_layer=28, n_embd=3072, n_ff=8192, n_head=24, n_head_kv=8, head_dim=128),
    "llama-3.1-8b": Shape(
        n_layer=32,
        n_embd=4096,
        n_ff=14336,
        n_head=32,
        n_head_kv=8,
        head_dim=128,
        rope_factor=8.0,
        tied=False,
    ),
}


def synthetic_model(
    name: str,
    cache_dir: Path | None = None,
    *,
    quantization: str = Q4_K_M,
    n_layer: int | None = None,
) -> Path:
    """The file of a named shape, written into the cache folder if it is not there yet.

    Args:
        n_layer: write only so many layers.

    Raises:
        SettingsError: there is no such shape or quantization, or no room for the file, or the
            folder cannot be written to.
    """
    path = cached_path(name, cache_dir, quantization, n_layer)
    if path.exists():
        return path
    shape, kind = shape_of(name, n_layer), QUANTIZATIONS[quantization]
    partial = path.with_name(f".{path.name}.part")  # one name: a killed run leaves no second one
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_room(path.parent, file_size(shape, kind))
        write_model(partial, shape, name=name, kind=kind)
        partial.replace(path)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror or error}. Choose a --cache-dir."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


def shape_of(name: str, n_layer: int | None = None) -> Shape:
    """A named shape, with so many layers.

    Raises:
        SettingsError: there is no shape of that name.
    """
    if name not in SHAPES:
        raise SettingsError(f"--shape must be one of {', '.join(SHAPES)}, not {name!r}.")
    shape = SHAPES[name]
    return shape if n_layer is None else replace(shape, n_layer=n_layer)


def cached_path(
    name: str,
    cache_dir: Path | None = None,
    quantization: str = Q4_K_M,
    n_layer: int | None = None,
) -> Path:
    """Where the file of a named shape is, or will be.

    Raises:
        SettingsError: there is no such shape or quantization.
    """
    shape_of(name)
    if quantization not in QUANTIZATIONS:
        known = ", ".join(QUANTIZATIONS)
        raise SettingsError(
            f"Random weights can be made in {known}, not in {quantization!r}. Choose one of them "
            "with --quant; what is in between in size is in between in speed."
        )
    layers = "" if n_layer is None else f"-{n_layer}-layers"
    return (
        cache_dir or _default_folder()
    ) / f"{name}{layers}-{quantization}-random-v{FORMAT_VERSION}.gguf"


def _default_folder() -> Path:
    """`$EDGE_LLAMA_HOME/cache/bench`, else in the system's folder for what can be made anew."""
    if home := os.environ.get("EDGE_LLAMA_HOME"):
        return Path(home).expanduser().absolute() / "cache" / "bench"
    return platformdirs.user_cache_path("edge-llama", appauthor=False) / "bench"


def file_size(shape: Shape, kind: WeightFormat | None = None) -> int:
    """Bytes of the tensors of a file; without a `kind`, in Q4_K_M's mix."""
    return sum(tensor.size for tensor in tensors(shape, kind, RandomWeights(SEED)))


def write_model(
    path: Path,
    shape: Shape,
    *,
    name: str,
    kind: WeightFormat | None = None,
    chat_template: str | None = None,
    metadata: Mapping[str, HeaderValue] | None = None,
    seed: int = SEED,
) -> None:
    """Write a GGUF with random weights.

    Args:
        kind: how all matrices are stored; None takes Q4_K_M's mix.
        metadata: entries that go before those that follow from the rest.

    Raises:
        OSError: the file cannot be written.
    """
    vocabulary = synthetic_vocabulary(shape.n_vocab, shape.n_control)
    entries = model_metadata(shape, vocabulary, name)
    entries["general.file_type"] = FILE_TYPES[kind]
    if chat_template is not None:
        entries["tokenizer.chat_template"] = chat_template
    write_gguf(
        path, entries | dict(metadata or {}), list(tensors(shape, kind, RandomWeights(seed)))
    )


def model_metadata(shape: Shape, vocabulary: Vocabulary, name: str) -> dict[str, HeaderValue]:
    """The entries that a Llama 3.1 GGUF has, but for its file type and template."""
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": f"{name} (random weights)",
        "general.quantization_version": 2,
        "llama.block_count": shape.n_layer,
        "llama.context_length": shape.n_ctx,
        "llama.embedding_length": shape.n_embd,
        "llama.feed_forward_length": shape.n_ff,
        "llama.attention.head_count": shape.n_head,
        "llama.attention.head_count_kv": shape.n_head_kv,
        "llama.attention.key_length": shape.head_dim,
        "llama.attention.value_length": shape.head_dim,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": shape.head_dim,
        "llama.rope.freq_base": 500_000.0,
        "llama.vocab_size": shape.n_vocab,
        **vocabulary.metadata(),
    }


def tensors(shape: Shape, kind: WeightFormat | None, weights: RandomWeights) -> Iterator[Tensor]:
    """All tensors of a Llama, in the order of llama.cpp's own converter."""

    def matrix(
        name: str, rows: int, columns: int, default: WeightFormat, gain: float = 1
    ) -> Tensor:
        stored = default if kind is None else kind
        deviation = gain / math.sqrt(columns)
        return Tensor(
            f"{name}.weight",
            (rows, columns),
            stored,
            lambda: weights.chunks(stored, rows * columns, deviation),
        )

    q4, q6 = WeightFormat.Q4_K, WeightFormat.Q6_K
    n_q, n_kv = shape.n_head * shape.head_dim, shape.n_head_kv * shape.head_dim
    # As GPT-2 does it: the residual stream keeps its size whatever the depth.
    gain = 1 / math.sqrt(2 * shape.n_layer)
    if not shape.tied:
        yield matrix("output", shape.n_vocab, shape.n_embd, q6)
    yield matrix("token_embd", shape.n_vocab, shape.n_embd, q6 if shape.tied else q4)
    yield _vector("rope_freqs.weight", _rope_factors(shape))
    yield _ones("output_norm", shape.n_embd)
    for layer in range(shape.n_layer):
        block = f"blk.{layer}"
        important = q6 if _gets_more_bits(layer, shape.n_layer) else q4
        yield _ones(f"{block}.attn_norm", shape.n_embd)
        yield matrix(f"{block}.attn_q", n_q, shape.n_embd, q4)
        yield matrix(f"{block}.attn_k", n_kv, shape.n_embd, q4)
        yield matrix(f"{block}.attn_v", n_kv, shape.n_embd, important)
        yield matrix(f"{block}.attn_output", shape.n_embd, n_q, q4, gain)
        yield _ones(f"{block}.ffn_norm", shape.n_embd)
        yield matrix(f"{block}.ffn_gate", shape.n_ff, shape.n_embd, q4)
        yield matrix(f"{block}.ffn_up", shape.n_ff, shape.n_embd, q4)
        yield matrix(f"{block}.ffn_down", shape.n_embd, shape.n_ff, important, gain)


def _gets_more_bits(layer: int, n_layer: int) -> bool:
    """Whether Q4_K_M stores a layer's attn_v and ffn_down as Q6_K (`use_more_bits`, llama.cpp)."""
    eighth = n_layer // 8
    return layer < eighth or layer >= 7 * n_layer // 8 or (layer - eighth) % 3 == 2


def _ones(name: str, size: int) -> Tensor:
    return _vector(f"{name}.weight", np.ones(size))


def _vector(name: str, values: npt.NDArray[np.float64]) -> Tensor:
    def chunks() -> Iterator[Floats]:
        yield values.astype(np.float32)

    return Tensor(name, (values.size,), WeightFormat.F32, chunks)


def _rope_factors(shape: Shape) -> npt.NDArray[np.float64]:
    """What RoPE's frequencies are divided by: Llama 3.1's `rope_scaling`."""
    frequencies = 500_000.0 ** -(np.arange(0, shape.head_dim, 2) / shape.head_dim)
    turns = ROPE_ORIGINAL_CONTEXT * frequencies / (2 * math.pi)
    span = ROPE_HIGH_FREQ_FACTOR - ROPE_LOW_FREQ_FACTOR
    smooth = np.clip((turns - ROPE_LOW_FREQ_FACTOR) / span, 0, 1)
    return 1 / ((1 - smooth) / shape.rope_factor + smooth)


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise SettingsError(
            f"The model needs {size / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free. "
            "Free some space, or choose another folder with --cache-dir."
        )
