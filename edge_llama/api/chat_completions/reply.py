"""ChatCompletionsReply: how OpenAI's chat API writes an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from edge_llama.api.chat_completions.chunks import stream_chunks
from edge_llama.api.chat_completions.head import ReplyHead
from edge_llama.api.chat_completions.schemas import ChatCompletionRequest
from edge_llama.api.chat_completions.shapes import ChatCompletionOut
from edge_llama.api.chat_completions.whole import whole_completion
from edge_llama.api.http.sse import error_frame
from edge_llama.api.request.stream_options import StreamOptions
from edge_llama.chat.completion import ChatCompletion
from edge_llama.pool.registry import ServedModel


class ChatCompletionsReply:
    """The answer as `chat.completion`, or as its chunks."""

    prompt_field = "messages"

    def __init__(self, asked: ChatCompletionRequest, model: ServedModel) -> None:
        self._asked = asked
        self._model = model

    async def whole(self, completion: ChatCompletion) -> ChatCompletionOut:
        asked = self._asked
        return await whole_completion(
            completion,
            self._head(completion),
            n=asked.n,
            logprobs=asked.logprobs,
            legacy=bool(asked.functions),
        )

    def stream(self, completion: ChatCompletion) -> AsyncGenerator[bytes, None]:
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
