"""POST /v1/responses."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.reply.lease import model_of
from edge_llama.api.reply.reply import respond
from edge_llama.api.request.request_body import parse, read_converted
from edge_llama.api.responses.reply import ResponsesReply
from edge_llama.api.responses.schemas import ResponsesRequest


async def create_response(request: Request) -> Response:
    asked, chat = await read_converted(
        request, partial(parse, ResponsesRequest), ResponsesRequest.to_chat_request
    )
    model = model_of(request, asked.model)
    reply = ResponsesReply(asked)
    return await respond(request, model, chat, reply, stream=asked.stream)
