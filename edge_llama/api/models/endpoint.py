"""GET /v1/models and /v1/models/{id}, for OpenAI's clients and for Anthropic's."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from edge_llama.api.anthropic.models import anthropic_model, anthropic_models
from edge_llama.api.dialect import speaks_anthropic
from edge_llama.api.models.shapes import ModelList, ModelOut
from edge_llama.api.reply.lease import model_of, usable_models
from edge_llama.pool.registry import ServedModel


async def list_models(request: Request) -> JSONResponse:
    usable = usable_models(request)
    if speaks_anthropic(request.scope):
        return JSONResponse(anthropic_models(usable))
    models: ModelList = {
        "object": "list",
        "data": [model_object(model, model.id) for model in usable],
    }
    return JSONResponse(models)


async def retrieve_model(request: Request) -> JSONResponse:
    name = request.path_params["id"]
    tell = anthropic_model if speaks_anthropic(request.scope) else model_object
    return JSONResponse(tell(model_of(request, name), name))


def model_object(model: ServedModel, name: str) -> ModelOut:
    """OpenAI's model object under the asked name; what nobody knows yet is null."""
    info = model.info
    return {
        "id": name,
        "object": "model",
        "created": model.created,
        "owned_by": "edge_llama",
        "type": None if model.encoder is None else "embeddings" if model.encoder else "llm",
        "aliases": list(model.aliases),
        "state": model.state.value,
        "context_length": model.context_length,
        "max_model_len": model.context_length,
        "quantization": model.quantization,
        "parameters": None if info is None else info.n_params,
        "embedding_length": None if info is None else info.n_embd,
    }
