"""Writes the model as a GGUF file, with the metadata that converters give a Llama 3.1."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from model import Llama
from tokenizer import CONTROL_TOKENS, merges_of
from tokenizers import Tokenizer

_TENSORS = {
    "attn_norm.weight": "attn_norm.weight",
    "attn.q.weight": "attn_q.weight",
    "attn.k.weight": "attn_k.weight",
    "attn.v.weight": "attn_v.weight",
    "attn.output.weight": "attn_output.weight",
    "ffn_norm.weight": "ffn_norm.weight",
    "ffn.gate.weight": "ffn_gate.weight",
    "ffn.up.weight": "ffn_up.weight",
    "ffn.down.weight": "ffn_down.weight",
}


def tensor_name(parameter: str) -> str:
    """The GGUF name of a parameter of `model.Llama`."""
    if not parameter.startswith("blk."):
        return parameter
    block, _, rest = parameter.removeprefix("blk.").partition(".")
    return f"blk.{block}.{_TENSORS[rest]}"


def _add_vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer, chat_template: str) -> None:
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([control if token in CONTROL_TOKENS else normal for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in merges_of(tokenizer)])
    writer.add_bos_token_id(vocabulary["<|begin_of_text|>"])
    writer.add_eos_token_id(vocabulary["<|eot_id|>"])
    writer.add_eot_token_id(vocabulary["<|eot_id|>"])
    writer.add_eom_token_id(vocabulary["<|eom_id|>"])
    writer.add_pad_token_id(vocabulary["<|finetune_right_pad_id|>"])
    writer.add_chat_template(chat_template)


def write_gguf(path: Path, model: Llama, tokenizer: Tokenizer, chat_template: str) -> None:
    """Matrices become Q8_0, norms stay F32; the file appears whole or not at all."""
    shape = model.shape
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("edge-llama demo")
    writer.add_description("A tiny demo model in the Llama 3.1 format, trained from scratch.")
    writer.add_license("mit")
    writer.add_size_label(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(shape.vocab)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_rope_dimension_count(shape.head_dim)
    _add_vocabulary(writer, tokenizer, chat_template)
    for name, parameter in model.named_parameters():
        array = parameter.detach().float().numpy()
        if array.ndim == 1:
            writer.add_tensor(tensor_name(name), array.astype(np.float32))
            continue
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(tensor_name(name), quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)
