"""POST /tokenize and /detokenize, GET /tokenizer_info: as vLLM and llama.cpp's server have them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_llama.api.http.long_json import json_response
from edge_llama.api.reply.lease import named_or_first, with_model
from edge_llama.api.request.request_body import parse, read_request
from edge_llama.api.tokens.reply import detokenized, tokenized, tokenizer_object
from edge_llama.api.tokens.schemas import DetokenizeRequest, TokenizeRequest
from edge_llama.api.tokens.shapes import TokenizerInfo
from edge_llama.chat.model import ChatModel


async def tokenize(request: Request) -> Response:
    asked = await read_request(request, partial(parse, TokenizeRequest))

    async def work(chat: ChatModel) -> Iterator[bytes]:
        return tokenized(await asked.tokens(chat), asked, chat.engine.info.n_ctx)

    return json_response(await with_model(request, named_or_first(request, asked.model), work))


async def detokenize(request: Request) -> Response:
    asked = await read_request(request, partial(parse, DetokenizeRequest))

    async def work(chat: ChatModel) -> Iterator[bytes]:
        return detokenized(await chat.tokenize(asked.tokens, field="tokens"))

    return json_response(await with_model(request, named_or_first(request, asked.model), work))


async def tokenizer_info(request: Request) -> JSONResponse:
    name = request.path_params.get("model") or request.query_params.get("model")

    async def work(chat: ChatModel) -> TokenizerInfo:
        return tokenizer_object(chat.engine.info)

    return JSONResponse(await with_model(request, named_or_first(request, name), work))
