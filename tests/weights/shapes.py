"""Shapes of real models, as their headers tell them."""

from __future__ import annotations

from edge_llama.weights.model_shape import ModelShape

GB = 1_000_000_000

LLAMA_8B = ModelShape(
    name="Llama 3.1 8B Instruct",
    architecture="llama",
    quantization="Q4_K_M",
    parameters=8_030_261_312,
    weight_bytes=4_912_898_304,
    layers=32,
    heads=32,
    kv_heads=8 * 32,
    key_length=128,
    value_length=128,
    embedding_length=4096,
    feed_forward_length=14336,
    vocabulary=128_256,
    context_length=131_072,
)
