"""From texts to embeddings."""

from __future__ import annotations

import asyncio

from edge_llama.api.embeddings.schemas import EmbeddingRequest
from edge_llama.api.http.disconnect import cancel
from edge_llama.chat.embedding import Embedding
from edge_llama.chat.messages import TextOrIds
from edge_llama.chat.meter import UsageMeter
from edge_llama.chat.model import ChatModel
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.errors import InvalidValue

AT_ONCE = 4
AT_ONCE_ENCODER = 128
"""Inputs of a request that are with the engine at the same time; the requests of others come
between them. An encoder computes many in one step, and must not wait for more.
"""


async def embed_all(
    chat: ChatModel,
    asked: EmbeddingRequest,
    *,
    caller: str,
    tier: ServiceTier,
    meter: UsageMeter | None,
) -> list[Embedding]:
    """The embeddings of all inputs, in their order.

    Raises:
        RequestError: an input, or `dimensions`, is too large for the model.
        EngineError: the engine is not ready, or ended.
    """
    info = await chat.engine.ready()
    if asked.dimensions is not None and asked.dimensions > info.n_embd:
        raise InvalidValue(
            f"dimensions must be at most {info.n_embd} with this model.", param="dimensions"
        )
    places = asyncio.Semaphore(AT_ONCE_ENCODER if info.encoder else AT_ONCE)

    async def embed(text: TextOrIds) -> Embedding:
        async with places:
            return await chat.embed(text, tier=tier, caller=caller, meter=meter)

    tasks = [asyncio.create_task(embed(text)) for text in asked.input]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await cancel(*tasks)
