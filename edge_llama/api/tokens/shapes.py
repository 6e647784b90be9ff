"""What the server answers about tokens, as types; /openapi.json shows them."""

from __future__ import annotations

from typing_extensions import TypedDict


class TokenPiece(TypedDict):
    """A token and its text; the bytes, if they are part of a character."""

    id: int
    piece: str | list[int]


class TokenizedOut(TypedDict):
    """`tokens` has ids, or with `with_pieces` objects."""

    count: int
    max_model_len: int
    tokens: list[int] | list[TokenPiece]
    token_strs: list[str] | None


class DetokenizedOut(TypedDict):
    """The text under vLLM's name and llama.cpp's."""

    prompt: str
    content: str


class TokenizerInfo(TypedDict):
    """What there is to know of a tokenizer, under the names of Hugging Face's config file."""

    tokenizer_class: str
    bos_token: str | None
    eos_token: str | None
    add_bos_token: bool
    chat_template: str | None
    model_max_length: int
    vocab_size: int
    special_tokens: dict[str, int]
