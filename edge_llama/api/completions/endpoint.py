"""POST /v1/completions."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.completions.reply import CompletionsReply
from edge_llama.api.completions.running import running
from edge_llama.api.completions.schemas import CompletionRequest, parse_completion_request
from edge_llama.api.reply.lease import model_of
from edge_llama.api.reply.reply import answer, on_behalf
from edge_llama.api.request.request_body import read_converted
from edge_llama.api.state.app_state import state_of


async def create_completion(request: Request) -> Response:
    state = state_of(request)
    parse = partial(parse_completion_request, max_n=state.settings.limits.max_n)
    asked, texts = await read_converted(request, parse, CompletionRequest.to_text_requests)
    model = model_of(request, asked.model)
    texts = [on_behalf(request, model, text) for text in texts]
    work = running(state.registry, model, texts, echo=asked.echo)
    return await answer(request, work, CompletionsReply(asked, model), stream=asked.stream)
