"""POST /completion and /infill."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.completions.running import running
from edge_llama.api.llama_server.reply import NativeReply
from edge_llama.api.llama_server.schemas import (
    ContinuedRequest,
    InfillRequest,
    NativeCompletionRequest,
)
from edge_llama.api.reply.lease import named_or_first
from edge_llama.api.reply.reply import answer, on_behalf
from edge_llama.api.request.request_body import parse, read_converted
from edge_llama.api.state.app_state import state_of
from edge_llama.chat.messages import TextRequest


async def create_native_completion(request: Request) -> Response:
    asked, texts = await read_converted(
        request,
        partial(parse, NativeCompletionRequest),
        NativeCompletionRequest.to_text_requests,
    )
    return await _answer(request, asked, texts)


async def create_infill(request: Request) -> Response:
    asked, texts = await read_converted(
        request, partial(parse, InfillRequest), InfillRequest.to_text_requests
    )
    return await _answer(request, asked, texts)


async def _answer(request: Request, asked: ContinuedRequest, texts: list[TextRequest]) -> Response:
    model = named_or_first(request, asked.model)
    texts = [on_behalf(request, model, text) for text in texts]
    work = running(state_of(request).registry, model, texts, echo=False)
    reply = NativeReply(asked, texts, model)
    return await answer(request, work, reply, stream=asked.stream)
