"""ModelInfo: what the engine knows of the loaded model."""

from __future__ import annotations

import msgspec


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine knows of the loaded model.

    Attributes:
        name: the GGUF's `general.name`, or the file's stem.
        architecture: the GGUF's `general.architecture`, e.g. `llama`.
        description: llama.cpp's own, e.g. `llama 8B Q4_K - Medium`.
        quantization: e.g. `Q4_K_M`.
        n_params: parameters.
        size_bytes: bytes of all tensors.
        n_ctx: tokens of context the engine was started with.
        n_ctx_train: tokens of context the model was trained for.
        n_vocab: entries of the vocabulary.
        bos_token: spelling of the token that begins every prompt, empty if none does.
        eos_token: spelling of the end-of-sequence token, empty if there is none.
        control_tokens: ids by spelling.
        chat_template: the GGUF's Jinja template, empty if it has none.
        tool_chat_template: the one for conversations with tools, empty if there is none.
        n_embd: numbers of an embedding.
        text_frame: token ids before and after a text of which an embedding is made.
        encoder: it embeds texts and cannot continue them.
    """

    name: str
    architecture: str
    description: str
    quantization: str
    n_params: int
    size_bytes: int
    n_ctx: int
    n_ctx_train: int
    n_vocab: int
    bos_token: str
    eos_token: str
    control_tokens: dict[str, int]
    chat_template: str
    tool_chat_template: str = ""
    n_embd: int
    text_frame: tuple[tuple[int, ...], tuple[int, ...]]
    encoder: bool
