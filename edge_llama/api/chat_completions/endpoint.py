"""POST /v1/chat/completions."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.chat_completions.reply import ChatCompletionsReply
from edge_llama.api.chat_completions.schemas import ChatCompletionRequest, parse_chat_request
from edge_llama.api.reply.lease import model_of
from edge_llama.api.reply.reply import respond
from edge_llama.api.request.request_body import read_converted
from edge_llama.api.state.app_state import state_of


async def create_chat_completion(request: Request) -> Response:
    state = state_of(request)
    parse = partial(parse_chat_request, max_n=state.settings.limits.max_n)
    asked, chat = await read_converted(request, parse, ChatCompletionRequest.to_chat_request)
    model = model_of(request, asked.model)
    reply = ChatCompletionsReply(asked, model)
    return await respond(request, model, chat, reply, stream=asked.stream)
