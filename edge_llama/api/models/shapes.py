"""The served models as OpenAI's API tells of them, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class ModelOut(TypedDict):
    """OpenAI's model object, and more; what nobody knows yet is null.

    `type` is `embeddings` if the model cannot continue texts; any model can embed them, as
    `embedding_length` numbers.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    type: Literal["llm", "embeddings"] | None
    aliases: list[str]
    state: Literal["available", "waiting", "loading", "loaded", "restarting", "unloading", "failed"]
    context_length: int | None
    max_model_len: int | None
    quantization: str | None
    parameters: int | None
    embedding_length: int | None


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[ModelOut]
