"""POST /v1/embeddings."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse

from edge_llama.api.embeddings.embed import embed_all
from edge_llama.api.embeddings.reply import embedding_list
from edge_llama.api.embeddings.schemas import EmbeddingRequest
from edge_llama.api.reply.lease import model_of, with_model
from edge_llama.api.reply.meter import meter_of, tier_of
from edge_llama.api.request.request_body import parse, read_request
from edge_llama.api.state.request_state import request_state
from edge_llama.chat.embedding import Embedding


async def create_embeddings(request: Request) -> JSONResponse:
    asked = await read_request(request, partial(parse, EmbeddingRequest))
    return JSONResponse(embedding_list(await embeddings_for(request, asked), asked))


async def embeddings_for(request: Request, asked: EmbeddingRequest) -> list[Embedding]:
    """The embeddings that a request asks for, on behalf of whoever sent it.

    Raises:
        RequestError: the model cannot make them, or the key may not have them.
        EngineError: the engine is not ready, or ended.
        ClientDisconnected: the client went away.
    """
    model = model_of(request, asked.model)
    work = partial(
        embed_all,
        asked=asked,
        caller=request_state(request.scope).caller,
        tier=tier_of(request, asked.tier),
        meter=meter_of(request, model),
    )
    return await with_model(request, model, work)
