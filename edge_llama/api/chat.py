"""POST /v1/chat/completions."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_llama.api.body import read_json
from edge_llama.api.chat_objects import ReplyHead, stream_chunks, whole_completion
from edge_llama.api.disconnect import unless_disconnected
from edge_llama.api.schemas import ChatCompletionRequest, parse_chat_request
from edge_llama.api.sse import EventStream
from edge_llama.chat.completion import ChatCompletion
from edge_llama.config import ServerSettings


async def create_chat_completion(request: Request) -> Response:
    settings: ServerSettings = request.app.state.settings
    asked = await _read(request, settings)
    model = request.app.state.registry.resolve(asked.model)
    completion: ChatCompletion = await unless_disconnected(
        request.receive, model.chat.start(asked.to_chat_request())
    )
    head = ReplyHead(asked.model, model.fingerprint)
    if asked.stream:
        chunks = stream_chunks(completion, head, n=asked.n, include_usage=asked.include_usage)
        return EventStream(chunks, owner=completion, keep_alive=settings.keep_alive_seconds)
    async with completion:
        reply = whole_completion(completion, head, n=asked.n)
        return JSONResponse(await unless_disconnected(request.receive, reply))


async def _read(request: Request, settings: ServerSettings) -> ChatCompletionRequest:
    body = await read_json(request, settings.max_body_bytes)
    if "model" in request.path_params:
        body["model"] = request.path_params["model"]
    return parse_chat_request(body, max_n=settings.max_n)
