"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_llama.api.body import read_json
from edge_llama.api.chat_objects import ReplyHead, stream_chunks, whole_completion
from edge_llama.api.disconnect import unless_disconnected
from edge_llama.api.registry import ModelRegistry
from edge_llama.api.schemas import ChatCompletionRequest, StreamOptions, parse_chat_request
from edge_llama.api.sse import ACCEPTED, EventStream
from edge_llama.chat.completion import ChatCompletion
from edge_llama.config import ServerSettings


async def create_chat_completion(request: Request) -> Response:
    settings: ServerSettings = request.app.state.settings
    registry: ModelRegistry = request.app.state.registry
    asked = await _read(request, settings)
    domain = "" if settings.share_prefixes else request.state.caller
    if asked.stream:
        frames = _frames(registry, asked, domain)
        return EventStream(frames, keep_alive=settings.keep_alive_seconds)
    return JSONResponse(await unless_disconnected(request.receive, _whole(registry, asked, domain)))


async def _read(request: Request, settings: ServerSettings) -> ChatCompletionRequest:
    body = await read_json(request, settings.max_body_bytes)
    if "model" in request.path_params:
        body["model"] = request.path_params["model"]
    return parse_chat_request(body, max_n=settings.max_n)


@asynccontextmanager
async def _completion(
    registry: ModelRegistry, asked: ChatCompletionRequest, domain: str
) -> AsyncIterator[tuple[ChatCompletion, ReplyHead]]:
    """The accepted request. Its model stays loaded until this is left."""
    model = registry.resolve(asked.model)
    request = replace(asked.to_chat_request(), cache_domain=domain)
    async with (
        registry.pool.use(model.pooled) as chat,
        await chat.start(request) as completion,
    ):
        yield completion, ReplyHead(asked.model, model.fingerprint)


async def _frames(
    registry: ModelRegistry, asked: ChatCompletionRequest, domain: str
) -> AsyncGenerator[bytes, None]:
    async with _completion(registry, asked, domain) as (completion, head):
        yield ACCEPTED
        options = asked.stream_options or StreamOptions()
        chunks = stream_chunks(
            completion,
            head,
            n=asked.n,
            logprobs=asked.logprobs,
            include_usage=options.include_usage,
            continuous_usage=options.continuous_usage_stats,
        )
        async for chunk in chunks:
            yield chunk


async def _whole(
    registry: ModelRegistry, asked: ChatCompletionRequest, domain: str
) -> dict[str, Any]:
    async with _completion(registry, asked, domain) as (completion, head):
        return await whole_completion(completion, head, n=asked.n, logprobs=asked.logprobs)
