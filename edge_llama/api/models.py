"""GET /v1/models and /v1/models/{id}."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from edge_llama.api.registry import ServedModel


async def list_models(request: Request) -> JSONResponse:
    models = [model_object(model, model.id) for model in request.app.state.registry]
    return JSONResponse({"object": "list", "data": models})


async def retrieve_model(request: Request) -> JSONResponse:
    name = request.path_params["id"]
    return JSONResponse(model_object(request.app.state.registry.resolve(name), name))


def model_object(model: ServedModel, name: str) -> dict[str, Any]:
    """OpenAI's model object under the asked name; what nobody knows yet is null."""
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
        "parameters": model.info and model.info.n_params,
        "embedding_length": model.info and model.info.n_embd,
    }
