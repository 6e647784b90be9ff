"""POST /embedding and /apply-template; GET /props, /slots and /version."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse

import edge_llama
from edge_llama.api.embeddings.endpoint import embeddings_for
from edge_llama.api.llama_server.generation_settings import generation_settings
from edge_llama.api.llama_server.schemas import NativeEmbeddingRequest, TemplateRequest
from edge_llama.api.llama_server.shapes import NativeEmbedding, Props, Slot, TemplatedOut, Version
from edge_llama.api.reply.lease import named_or_first, with_model
from edge_llama.api.request.request_body import parse, read_request
from edge_llama.chat.messages import TextRequest
from edge_llama.chat.model import ChatModel
from edge_llama.pool.registry import ServedModel


async def create_native_embeddings(request: Request) -> JSONResponse:
    asked = await read_request(request, partial(parse, NativeEmbeddingRequest))
    found = await embeddings_for(request, asked)
    told: list[NativeEmbedding] = [
        {"index": index, "embedding": [each.values()]} for index, each in enumerate(found)
    ]
    return JSONResponse(told)


async def apply_template(request: Request) -> JSONResponse:
    asked = await read_request(request, partial(parse, TemplateRequest))

    async def work(chat: ChatModel) -> TemplatedOut:
        return {"prompt": await chat.written(asked.conversation())}

    return JSONResponse(await with_model(request, named_or_first(request, asked.model), work))


async def props(request: Request) -> JSONResponse:
    model = _model(request)

    async def work(chat: ChatModel) -> Props:
        return _props(model, chat)

    return JSONResponse(await with_model(request, model, work))


def _props(model: ServedModel, chat: ChatModel) -> Props:
    info = chat.engine.info
    return {
        "default_generation_settings": {
            "params": generation_settings(TextRequest(prompt=""), stream=False),
            "n_ctx": info.n_ctx,
        },
        "total_slots": info.parallel,
        "model_alias": model.id,
        "model_path": info.file_name,
        "modalities": {"vision": False, "video": False, "audio": False},
        "chat_template": info.chat_template,
        "bos_token": info.bos_token,
        "eos_token": info.eos_token,
        "build_info": f"edge_llama {edge_llama.__version__}",
        "is_sleeping": False,
    }


async def slots(request: Request) -> JSONResponse:
    """As many busy places as sequences run: which of them is whose is not told."""
    model = _model(request)
    info, stats = model.info, await model.pooled.stats()
    busy = 0 if stats is None else stats.running
    told: list[Slot] = []
    if info is not None:
        told = [
            {"id": id, "n_ctx": info.n_ctx, "speculative": False, "is_processing": id < busy}
            for id in range(info.parallel)
        ]
    return JSONResponse(told)


async def version(request: Request) -> JSONResponse:
    told: Version = {"version": edge_llama.__version__}
    return JSONResponse(told)


def _model(request: Request) -> ServedModel:
    return named_or_first(request, request.query_params.get("model"))
