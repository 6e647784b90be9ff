"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.chat_completions.reply import ReplyHead, stream_chunks, whole_completion
from edge_llama.api.chat_completions.schemas import (
    ChatCompletionRequest,
    parse_chat_request,
)
from edge_llama.api.http.sse import error_frame
from edge_llama.api.reply.reply import respond
from edge_llama.api.request.request_body import read_converted
from edge_llama.api.request.stream_options import StreamOptions
from edge_llama.api.state.app_state import state_of
from edge_llama.chat.completion import ChatCompletion
from edge_llama.pool.registry import ServedModel


async def create_chat_completion(request: Request) -> Response:
    state = state_of(request)
    parse = partial(parse_chat_request, max_n=state.settings.limits.max_n)
    asked, chat = await read_converted(request, parse, ChatCompletionRequest.to_chat_request)
    model = state.registry.resolve(asked.model)
    reply = ChatCompletionsReply(asked, model)
    return await respond(request, model, chat, reply, stream=asked.stream)


class ChatCompletionsReply:
    """The answer as `chat.completion`, or as its chunks."""

    prompt_field = "messages"

    def __init__(self, asked: ChatCompletionRequest, model: ServedModel) -> None:
        self._asked = asked
        self._model = model

    async def whole(self, completion: ChatCompletion) -> dict[str, Any]:
        asked = self._asked
        return await whole_completion(
            completion,
            self._head(completion),
            n=asked.n,
            logprobs=asked.logprobs,
            legacy=bool(asked.functions),
        )

    def stream(self, completion: ChatCompletion) -> AsyncIterator[bytes]:
        asked = self._asked
        options = asked.stream_options or StreamOptions()
        return stream_chunks(
            completion,
            self._head(completion),
            n=asked.n,
            logprobs=asked.logprobs,
            legacy=bool(asked.functions),
            include_usage=options.include_usage,
            continuous_usage=options.continuous_usage_stats,
        )

    def failure(self, error: Exception) -> bytes:
        return error_frame(error)

    def _head(self, completion: ChatCompletion) -> ReplyHead:
        # The fingerprint is that of the loaded model.
        return ReplyHead(self._asked.model, self._model.fingerprint, completion.dropped)
