"""POST /v1/embeddings."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, PlainValidator
from starlette.requests import Request
from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from edge_llama.api.completions.schemas import NamesInput, TextOrIds, as_texts
from edge_llama.api.http.disconnect import cancel
from edge_llama.api.reply.lease import model_of, with_model
from edge_llama.api.request.request_body import RequestBody, parse, read_request
from edge_llama.api.request.validation import Count, Name, invalid
from edge_llama.api.state.request_state import request_state
from edge_llama.chat.embedding import Embedding
from edge_llama.chat.model import ChatModel
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.errors import InvalidValue

MAX_INPUTS = 2048
"""OpenAI's limit."""

AT_ONCE = 4
AT_ONCE_ENCODER = 128
"""Inputs of a request that are with the engine at the same time; the requests of others come
between them. An encoder computes many in one step, and must not wait for more.
"""


def _not_too_many(texts: tuple[TextOrIds, ...]) -> tuple[TextOrIds, ...]:
    if len(texts) > MAX_INPUTS:
        raise invalid(f"must have at most {MAX_INPUTS} entries.")
    if "" in texts:
        raise invalid("must not have an empty string.")
    return texts


class EmbeddingRequest(RequestBody):
    """OpenAI's request for embeddings."""

    harmless_values = {"truncate_prompt_tokens": ()}  # noqa: RUF012

    model: Name
    input: Annotated[
        tuple[TextOrIds, ...],
        PlainValidator(as_texts, json_schema_input_type=NamesInput),
        AfterValidator(_not_too_many),
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Count | None = None
    service_tier: Any = None

    @property
    def tier(self) -> ServiceTier:
        return ServiceTier.FLEX if self.service_tier == "flex" else ServiceTier.DEFAULT


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


async def create_embeddings(request: Request) -> JSONResponse:
    asked = await read_request(request, partial(parse, EmbeddingRequest))
    work = partial(_embed, asked=asked, caller=request_state(request.scope).caller)
    embeddings = await with_model(request, model_of(request, asked.model), work)
    tokens = sum(embedding.prompt_tokens for embedding in embeddings)
    answer: EmbeddingList = {
        "object": "list",
        "data": _objects(embeddings, asked),
        "model": asked.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return JSONResponse(answer)


async def _embed(chat: ChatModel, asked: EmbeddingRequest, caller: str) -> list[Embedding]:
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
            return await chat.embed(text, tier=asked.tier, caller=caller)

    tasks = [asyncio.create_task(embed(text)) for text in asked.input]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await cancel(*tasks)


def _objects(embeddings: Sequence[Embedding], asked: EmbeddingRequest) -> list[EmbeddingObject]:
    shortened = (
        each if asked.dimensions is None else each.shortened(asked.dimensions)
        for each in embeddings
    )
    return [
        {
            "object": "embedding",
            "index": index,
            "embedding": (
                base64.b64encode(each.data).decode()
                if asked.encoding_format == "base64"
                else each.values()
            ),
        }
        for index, each in enumerate(shortened)
    ]
