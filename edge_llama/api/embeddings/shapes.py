"""What the server answers in OpenAI's embeddings API, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class EmbeddingObject(TypedDict):
    """Its numbers, or with `base64` little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(TypedDict):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(TypedDict):
    """OpenAI's answer: an embedding for each input, in their order."""

    object: Literal["list"]
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage
