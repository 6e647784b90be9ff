"""OpenAI's list of embeddings."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from edge_llama.api.embeddings.schemas import EmbeddingRequest
from edge_llama.api.embeddings.shapes import EmbeddingList, EmbeddingObject
from edge_llama.chat.embedding import Embedding


def embedding_list(embeddings: Sequence[Embedding], asked: EmbeddingRequest) -> EmbeddingList:
    """The answer to `asked`, of whose inputs these are the embeddings, in their order."""
    tokens = sum(embedding.prompt_tokens for embedding in embeddings)
    return {
        "object": "list",
        "data": [_object(index, each, asked) for index, each in enumerate(embeddings)],
        "model": asked.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _object(index: int, embedding: Embedding, asked: EmbeddingRequest) -> EmbeddingObject:
    if asked.dimensions is not None:
        embedding = embedding.shortened(asked.dimensions)
    in_base64 = asked.encoding_format == "base64"
    numbers = base64.b64encode(embedding.data).decode() if in_base64 else embedding.values()
    return {"object": "embedding", "index": index, "embedding": numbers}
