"""ModelInfo: what the engine knows of the loaded model."""

from __future__ import annotations

import msgspec


class FillTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of the tokens with which a model fills in the middle of a text.

    Attributes:
        prefix, suffix, middle: stand before what comes first, what comes last and what is asked.
        repository, file: stand before the names of a repository and of a file; None if the model
            has none.
    """

    prefix: int
    suffix: int
    middle: int
    repository: int | None = None
    file: int | None = None


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
        fill: with what it fills in the middle of a text; None if it cannot.
        file_name: of the GGUF.
        parallel: sequences that are computed at the same time.
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
    fill: FillTokens | None = None
    file_name: str = ""
    parallel: int = 1
