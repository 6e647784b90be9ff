"""Shapes of real models, as their headers tell them."""

from __future__ import annotations

from edge_llama.weights.memory.model_shape import ModelShape

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

NOMIC = ModelShape(
    name="nomic-embed-text-v1.5",
    architecture="nomic-bert",
    quantization="F16",
    parameters=136_727_040,
    weight_bytes=274_000_000,
    layers=12,
    heads=12,
    kv_heads=0,
    key_length=64,
    value_length=64,
    embedding_length=768,
    feed_forward_length=3072,
    vocabulary=30_522,
    context_length=2048,
    encoder=True,
)
"""An encoder, which has no KV cache."""
