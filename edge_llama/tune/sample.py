"""The first layers of a model, with random weights: they tell how all of them run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edge_llama.bench.synthetic.synthetic import QUANTIZATIONS, Shape, file_size, write_model
from edge_llama.errors import SettingsError
from edge_llama.tune.measurement import Scale
from edge_llama.weights.gguf.model import read_model
from edge_llama.weights.memory.model_shape import ModelShape

LAYERS = 4

SMALL = 256_000_000
"""Bytes of weights that are measured whole: it takes no longer."""

OUTPUT, EMBEDDING = "output.weight", "token_embd.weight"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        path: a GGUF.
        layers: how many it has.
        scale: what its steps are to those of the model.
    """

    path: Path
    layers: int
    scale: Scale


def is_sampled(shape: ModelShape) -> bool:
    """Whether a model that is on this machine is judged by a few layers: all of a large one take
    minutes.
    """
    return (
        shape.architecture == "llama"
        and shape.weight_bytes > SMALL
        and shape.layers > LAYERS
        and shape.quantization in QUANTIZATIONS
    )


@contextmanager
def few_layers(shape: ModelShape) -> Iterator[Subject]:
    """A GGUF with `LAYERS` layers of `shape`, which is removed afterwards.

    Raises:
        SettingsError: its quantization cannot be made, or there is no room for the file.
    """
    if shape.quantization not in QUANTIZATIONS:
        raise SettingsError(
            f"{shape.title} is not on this machine, and random weights cannot be made in "
            f"{shape.quantization}. Get it first, with `edge-llama pull`."
        )
    kind = QUANTIZATIONS[shape.quantization]
    with tempfile.TemporaryDirectory(prefix="edge-llama-tune-") as folder:
        path = Path(folder) / "layers.gguf"
        try:
            write_model(path, sample_shape(shape), name=shape.name, kind=kind)
            with path.open("rb+") as file:
                os.fsync(file.fileno())  # or the system writes it while the default is measured
        except OSError as error:
            raise SettingsError(
                f"{path} cannot be written: {error.strerror or error}. Set TMPDIR to a folder "
                f"with {file_size(sample_shape(shape), kind) / 1e9:.1f} GB of room."
            ) from error
        yield subject_of(path, shape)


def subject_of(path: Path, shape: ModelShape) -> Subject:
    """A GGUF with the first layers of a model, or all of them.

    Args:
        shape: of the model.
    """
    sizes = {tensor.name: tensor.size for tensor in read_model(path).tensors}
    output = sizes.get(OUTPUT, sizes.get(EMBEDDING, 0))
    blocks = sum(size for name, size in sizes.items() if name.startswith("blk."))
    layers = ModelShape.of_file(path).layers
    return Subject(path, layers, Scale(shape.layers / layers, output / ((blocks + output) or 1)))


def sample_shape(shape: ModelShape) -> Shape:
    """The first layers of `shape`, with the output matrix that its parameters are proof of."""
    sample = Shape(
        n_layer=shape.layers,
        n_embd=shape.embedding_length,
        n_ff=shape.feed_forward_length,
        n_head=shape.heads,
        n_head_kv=shape.kv_heads // shape.layers,
        head_dim=shape.key_length,
        n_vocab=shape.vocabulary,
        n_ctx=shape.context_length,
    )
    layer = sample.n_embd * (
        2 * sample.head_dim * (sample.n_head + sample.n_head_kv) + 3 * sample.n_ff
    )
    matrices = (shape.parameters - shape.layers * layer) / (sample.n_vocab * sample.n_embd)
    return replace(sample, n_layer=min(LAYERS, shape.layers), tied=round(matrices) < 2)
