"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.anthropic.reply import MessagesReply
from edge_llama.api.anthropic.schemas import MessagesRequest
from edge_llama.api.registry import ModelRegistry
from edge_llama.api.reply import respond
from edge_llama.api.request_body import parse, read_request


async def create_message(request: Request) -> Response:
    registry: ModelRegistry = request.app.state.registry
    asked = await read_request(request, partial(parse, MessagesRequest))
    model = registry.resolve(asked.model)
    reply = MessagesReply(asked)
    return await respond(request, model, asked.to_chat_request(), reply, stream=asked.stream)
