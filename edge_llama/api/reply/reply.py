"""From a chat request to an HTTP response, whatever API it is written in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edge_llama.api.http.disconnect import unless_disconnected
from edge_llama.api.http.long_json import json_response
from edge_llama.api.http.sse import AcceptedStream, EventStream
from edge_llama.api.http.written_list import json_pieces
from edge_llama.api.reply.begun import Begun, Work
from edge_llama.api.reply.meter import meter_of, tier_of
from edge_llama.api.request.ignored import IGNORED_HEADER, ignored_header
from edge_llama.api.state.app_state import state_of
from edge_llama.api.state.request_state import request_state
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.messages import AnswerRequest, ChatRequest
from edge_llama.errors import RequestError
from edge_llama.pool.registry import ServedModel

DROPPED_HEADER = "X-Edge-Llama-Dropped-Messages"

Running = TypeVar("Running", contravariant=True)
Asked = TypeVar("Asked", bound=AnswerRequest)


class ReplyWriter(Protocol[Running]):
    """How one API writes one answer: whole, or as a stream that says the same."""

    async def whole(self, running: Running, /) -> object:
        """The JSON body, in which a list may be a `WrittenList`, when the answer is finished."""
        ...

    def stream(self, running: Running, /) -> AsyncGenerator[bytes, None]:
        """The frames, up to and with the one that ends the stream."""
        ...

    def failure(self, error: Exception) -> bytes:
        """The last frames of a stream that `error` ends."""
        ...


class ChatReplyWriter(ReplyWriter[ChatCompletion], Protocol):
    """How one API writes the answer to a chat.

    Attributes:
        prompt_field: what the API calls the messages; errors name it.
    """

    prompt_field: str


async def respond(
    request: Request,
    model: ServedModel,
    asked: ChatRequest,
    reply: ChatReplyWriter,
    *,
    stream: bool,
) -> Response:
    """Have `model` answer `asked`, and write the answer as `reply` does.

    Raises:
        RequestError: the model refused it.
        TemplateError: the model's chat template failed.
        EngineError: the engine is not ready, or ended.
        ClientDisconnected: the client went away.
    """
    state = state_of(request)
    asked = on_behalf(request, model, asked)
    asked = replace(
        asked,
        overflow=asked.overflow or state.settings.context_overflow,
        strict=state.settings.strict,
    )
    running = _running(request, model, asked, reply.prompt_field)
    return await answer(request, running, reply, stream=stream)


def on_behalf(request: Request, model: ServedModel, asked: Asked) -> Asked:
    """`asked`, for whoever sent `request`, who pays for it."""
    caller = request_state(request.scope).caller
    domain = "" if state_of(request).settings.share_prefixes else caller
    tier = tier_of(request, asked.options.tier)
    options = msgspec.structs.replace(asked.options, cache_domain=domain, caller=caller, tier=tier)
    return replace(asked, options=options, meter=meter_of(request, model))


async def answer(
    request: Request,
    running: AbstractAsyncContextManager[Begun[Work]],
    reply: ReplyWriter[Work],
    *,
    stream: bool,
) -> Response:
    """Write what runs in `running` as `reply` does.

    Args:
        request: what is answered.
        running: entered for as long as the answer is written.
        reply: how it is written.
        stream: as events.

    Raises:
        Exception: of entering `running`, before anything is sent.
        ClientDisconnected: the client went away.
    """
    if stream:
        return EventStream(
            _streamed(running, reply),
            keep_alive=state_of(request).settings.keep_alive_seconds,
            failure=reply.failure,
        )
    return await unless_disconnected(request.receive, _whole(running, reply))


@asynccontextmanager
async def _streamed(
    running: AbstractAsyncContextManager[Begun[Work]], reply: ReplyWriter[Work]
) -> AsyncIterator[AcceptedStream]:
    async with running as begun:
        yield AcceptedStream(reply.stream(begun.work), begun.headers)


async def _whole(
    running: AbstractAsyncContextManager[Begun[Work]], reply: ReplyWriter[Work]
) -> Response:
    async with running as begun:
        body = await reply.whole(begun.work)
    return json_response(json_pieces(body), begun.headers)


@asynccontextmanager
async def _running(
    request: Request, model: ServedModel, asked: ChatRequest, prompt_field: str
) -> AsyncIterator[Begun[ChatCompletion]]:
    """The accepted request. Its model stays loaded until this is left."""
    async with state_of(request).registry.pool.use(model.pooled) as chat:
        with _naming(prompt_field):
            completion = await chat.start(asked)
        async with completion:
            yield Begun(completion, _headers(request, completion))


def _headers(request: Request, completion: ChatCompletion) -> Mapping[str, str]:
    headers = {}
    if completion.dropped is not None:
        headers[DROPPED_HEADER] = str(completion.dropped.messages)
    if completion.unused:
        state = request_state(request.scope)
        state.ignored = list(dict.fromkeys([*state.ignored, *completion.unused]))
        headers[IGNORED_HEADER] = ignored_header(state.ignored)
    return headers


@contextmanager
def _naming(prompt_field: str) -> Iterator[None]:
    """Errors in the messages name the field that they came from."""
    try:
        yield
    except RequestError as error:
        if prompt_field != "messages" and (error.param or "").startswith("messages"):
            error.param = prompt_field
        raise
