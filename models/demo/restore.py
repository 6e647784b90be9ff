"""Reads back a GGUF of `export.write_gguf`, so that a shipped model can be trained further."""

from __future__ import annotations

from pathlib import Path

import gguf
import torch
from export import tensor_name
from gguf.quants import dequantize
from model import Llama
from tokenizer import CONTROL_TOKENS, assemble
from tokenizers import Tokenizer


def read_tokenizer(path: Path) -> Tokenizer:
    """The vocabulary of a GGUF."""
    fields = gguf.GGUFReader(path).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    merges: list[str] = fields["tokenizer.ggml.merges"].contents()
    left_right = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    return assemble(tokens[: -len(CONTROL_TOKENS)], left_right)


def read_weights(path: Path, model: Llama) -> None:
    """Fill `model` with the weights of a GGUF of the same shape."""
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            tensor = tensors[tensor_name(name)]
            values = dequantize(tensor.data, tensor.tensor_type)
            parameter.copy_(torch.from_numpy(values.copy()).view_as(parameter))
