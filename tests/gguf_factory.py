"""Tiny GGUFs with random weights, for tests that need a model that loads and runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_llama.bench.synthetic.blocks import WeightFormat
from edge_llama.bench.synthetic.gguf_writer import HeaderValue
from edge_llama.bench.synthetic.synthetic import Shape, write_model

HEAD_DIM = 32


def write_tiny_gguf(
    path: Path,
    *,
    n_vocab: int = 512,
    n_layer: int = 2,
    n_embd: int = 64,
    n_head_kv: int | None = None,
    n_ctx: int = 2048,
    tied: bool = True,
    kind: WeightFormat = WeightFormat.F32,
    chat_template: str | None = None,
    metadata: Mapping[str, HeaderValue] | None = None,
    name: str = "tiny",
    seed: int = 1,
) -> Path:
    """Write a small Llama with Llama 3.1's control tokens and a byte-level BPE; returns `path`.

    Args:
        n_vocab: 256 bytes, made-up merges, and the last 11 the control tokens of Llama 3.1 in
            their real order, `<|begin_of_text|>` first.
        n_embd: a multiple of 32 (the width of a head).
        n_head_kv: heads of keys and values; None is one per head.
        n_ctx: tokens of context it claims to be trained for.
        tied: no output matrix of its own.
        kind: F32, F16 or Q8_0.
        chat_template: the Jinja template, if it should have one.
        metadata: entries that go before those that follow from the rest.
        seed: other weights for another one.
    """
    n_head = n_embd // HEAD_DIM
    shape = Shape(
        n_layer=n_layer,
        n_embd=n_embd,
        n_ff=2 * n_embd,
        n_head=n_head,
        n_head_kv=n_head_kv or n_head,
        head_dim=HEAD_DIM,
        n_vocab=n_vocab,
        n_control=11,
        n_ctx=n_ctx,
        tied=tied,
    )
    write_model(
        path,
        shape,
        name=name,
        kind=kind,
        chat_template=chat_template,
        metadata=metadata,
        seed=seed,
    )
    return path
