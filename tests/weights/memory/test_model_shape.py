from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_llama.bench.synthetic.gguf_writer import HeaderValue, write_gguf
from edge_llama.errors import ModelFileError, UnknownModel
from edge_llama.weights.catalog.catalog import load_catalog
from edge_llama.weights.demo import bundled_model
from edge_llama.weights.memory.model_shape import ModelShape
from tests.gguf_factory import write_tiny_gguf
from tests.tiny_encoder import TinyEncoder

METADATA: dict[str, HeaderValue] = {
    "general.architecture": "qwen",
    "general.name": "Some\nmodel\x1b[31m",
    "qwen.block_count": 3,
    "qwen.context_length": 1024,
    "qwen.embedding_length": 64,
    "qwen.attention.head_count": 4,
    "tokenizer.ggml.tokens": ["a"] * 300,
}


def write(path: Path, **changes: HeaderValue | None) -> Path:
    merged = {**METADATA, **{key.replace("__", "."): value for key, value in changes.items()}}
    write_gguf(path, {k: v for k, v in merged.items() if v is not None}, [])
    return path


def test_the_demo() -> None:
    shape = ModelShape.of_file(bundled_model())
    assert (shape.architecture, shape.quantization) == ("llama", "Q8_0")
    assert shape.weight_bytes < bundled_model().stat().st_size
    assert shape.context_length == 4096


def test_every_dimension_is_read(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf", n_vocab=600, n_layer=3, n_embd=64, n_head_kv=1)
    shape = ModelShape.of_file(path)
    assert (shape.layers, shape.heads, shape.kv_heads) == (3, 2, 3)
    assert (shape.key_length, shape.value_length) == (32, 32)
    assert (shape.embedding_length, shape.feed_forward_length) == (64, 128)
    assert (shape.vocabulary, shape.context_length) == (600, 2048)
    assert shape.weight_bytes == 4 * shape.parameters  # F32
    assert shape.quantization == "F32"


def test_an_encoder_has_no_kv_cache(tmp_path: Path) -> None:
    shape = ModelShape.of_file(TinyEncoder().write(tmp_path / "m.gguf"))
    assert (shape.encoder, shape.heads, shape.kv_heads) == (True, 2, 0)
    made = write_tiny_gguf(tmp_path / "made.gguf", metadata={"llama.attention.causal": False})
    shape = ModelShape.of_file(made)
    assert (shape.encoder, shape.kv_heads) == (True, 4)
    assert not ModelShape.of_file(write_tiny_gguf(tmp_path / "llama.gguf")).encoder


def test_what_a_header_may_leave_out_is_derived(tmp_path: Path) -> None:
    shape = ModelShape.of_file(write(tmp_path / "m-Q5_K_M.gguf"))
    assert (shape.kv_heads, shape.key_length, shape.feed_forward_length) == (12, 16, 64)
    assert (shape.vocabulary, shape.quantization) == (300, "Q5_K_M")
    assert shape.title == "Somemodel[31m Q5_K_M"


def test_kv_heads_may_differ_by_layer(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", qwen__attention__head_count_kv=[4, 0, 2])
    assert ModelShape.of_file(path).kv_heads == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"general__architecture": None},
        {"qwen__block_count": None},
        {"qwen__block_count": 0},
        {"qwen__context_length": "long"},
        {"qwen__attention__head_count": 65},
    ],
)
def test_a_model_without_its_dimensions_is_refused(
    tmp_path: Path, changes: dict[str, HeaderValue | None]
) -> None:
    with pytest.raises(ModelFileError, match="not a model that can be run") as caught:
        ModelShape.of_file(write(tmp_path / "m.gguf", **changes))
    assert "\n" not in str(caught.value)


def test_a_variant_of_the_catalog() -> None:
    model = load_catalog(Path("no such file")).find("llama-3.1-8b-instruct")
    assert model is not None
    variant = model.variant("Q4_K_M")
    assert variant is not None
    shape = ModelShape.of_catalog(model, variant)
    assert shape.title == "Llama 3.1 8B Instruct Q4_K_M"
    assert shape.weight_bytes == variant.expected_size
    per_token = shape.kv_heads * (shape.key_length + shape.value_length) * 2
    assert per_token == model.kv_bytes_per_token == 131_072
    with pytest.raises(UnknownModel, match="is not known before it is downloaded"):
        ModelShape.of_catalog(replace(model, architecture=None), variant)
