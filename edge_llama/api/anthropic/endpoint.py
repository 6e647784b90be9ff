"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_llama.api.anthropic.reply import MessagesReply
from edge_llama.api.anthropic.schemas import Conversation, MessagesRequest
from edge_llama.api.anthropic.shapes import TokenCount
from edge_llama.api.reply.lease import model_of, with_model
from edge_llama.api.reply.reply import respond
from edge_llama.api.request.request_body import parse, read_converted, read_request
from edge_llama.chat.messages import ChatRequest
from edge_llama.chat.model import ChatModel


async def create_message(request: Request) -> Response:
    asked, chat = await read_converted(
        request, partial(parse, MessagesRequest), MessagesRequest.to_chat_request
    )
    model = model_of(request, asked.model)
    reply = MessagesReply(asked)
    return await respond(request, model, chat, reply, stream=asked.stream)


async def count_tokens(request: Request) -> JSONResponse:
    asked = await read_request(request, partial(parse, Conversation))
    chat_request = ChatRequest(
        messages=asked.to_messages(),
        tools=asked.to_tools(),
        tool_choice=asked.tool_choice.to_choice(),
    )

    async def work(chat: ChatModel) -> TokenCount:
        return {"input_tokens": await chat.count(chat_request)}

    return JSONResponse(await with_model(request, model_of(request, asked.model), work))
