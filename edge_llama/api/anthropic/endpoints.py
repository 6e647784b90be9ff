"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.anthropic.reply import MessagesReply
from edge_llama.api.anthropic.schemas import parse_messages_request
from edge_llama.api.body import read_body
from edge_llama.api.registry import ModelRegistry
from edge_llama.api.reply import respond


async def create_message(request: Request) -> Response:
    registry: ModelRegistry = request.app.state.registry
    asked = parse_messages_request(await read_body(request))
    model = registry.resolve(asked.model)
    reply = MessagesReply(asked)
    return await respond(request, model, asked.to_chat_request(), reply, stream=asked.stream)
