"""All endpoints: the app's routes and /openapi.json come from these tables."""

from __future__ import annotations

from typing import Any

from edge_llama.api.anthropic.endpoint import count_tokens, create_message
from edge_llama.api.anthropic.schemas import Conversation, MessagesRequest
from edge_llama.api.anthropic.shapes import (
    AnthropicModel,
    AnthropicModelList,
    MessageEvent,
    MessageOut,
    TokenCount,
)
from edge_llama.api.chat_completions.endpoint import create_chat_completion
from edge_llama.api.chat_completions.schemas import ChatCompletionRequest
from edge_llama.api.chat_completions.shapes import (
    ChatCompletionChunk,
    ChatCompletionOut,
)
from edge_llama.api.completions.endpoint import create_completion
from edge_llama.api.completions.schemas import CompletionRequest
from edge_llama.api.completions.shapes import Completion
from edge_llama.api.dialect import VERSION_HEADER
from edge_llama.api.embeddings.endpoint import create_embeddings
from edge_llama.api.embeddings.schemas import EmbeddingRequest
from edge_llama.api.embeddings.shapes import EmbeddingList
from edge_llama.api.endpoint import Endpoint
from edge_llama.api.llama_server.endpoints import LLAMA_SERVER_ENDPOINTS
from edge_llama.api.models.endpoint import list_models, retrieve_model
from edge_llama.api.models.shapes import ModelList, ModelOut
from edge_llama.api.openapi import serve_document
from edge_llama.api.responses.endpoint import create_response
from edge_llama.api.responses.schemas import ResponsesRequest
from edge_llama.api.responses.shapes import ResponseEvent, ResponseOut
from edge_llama.api.shapes import AnthropicError, Error
from edge_llama.api.status.health import health, live, ready
from edge_llama.api.status.metrics import metrics
from edge_llama.api.status.shapes import Health, Status
from edge_llama.api.tokens.endpoint import detokenize, tokenize, tokenizer_info
from edge_llama.api.tokens.schemas import DetokenizeRequest, TokenizeRequest
from edge_llama.api.tokens.shapes import DetokenizedOut, TokenizedOut, TokenizerInfo
from edge_llama.api.web.manual import manual_index, manual_page
from edge_llama.api.web.page import chat_page

_HELLO = [{"role": "user", "content": "Hello!"}]
_OF_GENERATION = (400, 404, 413, 415, 429, 500, 503)

_TOKEN_ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/tokenize",
        handle=tokenize,
        summary="The tokens of a text or a conversation",
        body=TokenizeRequest,
        example={"model": "demo", "prompt": "Hello!"},
        answer=TokenizedOut,
        errors=_OF_GENERATION,
    ),
    Endpoint(
        method="POST",
        path="/detokenize",
        handle=detokenize,
        summary="The text of tokens",
        body=DetokenizeRequest,
        example={"model": "demo", "tokens": [72, 105]},
        answer=DetokenizedOut,
        errors=_OF_GENERATION,
    ),
    Endpoint(
        method="GET",
        path="/tokenizer_info",
        handle=tokenizer_info,
        summary="What there is to know of a tokenizer",
        query=("model",),
        answer=TokenizerInfo,
        errors=(404, 500, 503),
    ),
)

_CHAT = Endpoint(
    method="POST",
    path="/chat/completions",
    handle=create_chat_completion,
    summary="Answer a conversation",
    body=ChatCompletionRequest,
    example={"model": "demo", "messages": _HELLO},
    answer=ChatCompletionOut,
    events=ChatCompletionChunk,
    last_data="[DONE]",
    errors=_OF_GENERATION,
)

_MODELS = Endpoint(
    method="GET",
    path="/models",
    handle=list_models,
    summary="The models that are served",
    answer=ModelList,
)

ROOT_ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/",
        handle=chat_page,
        summary="A page to chat on",
        answer=str,
        media_type="text/html",
    ),
    Endpoint(
        method="GET",
        path="/docs",
        handle=manual_index,
        summary="The pages of the manual",
        answer=str,
        media_type="text/html",
    ),
    Endpoint(
        method="GET",
        path="/docs/{topic}",
        handle=manual_page,
        summary="A page of the manual",
        answer=str,
        media_type="text/html",
        errors=(404,),
    ),
    Endpoint(
        method="GET",
        path="/health",
        handle=health,
        summary="The state of the server and of each model",
        answer=Health,
    ),
    Endpoint(
        method="GET",
        path="/health/live",
        handle=live,
        summary="Whether the server runs",
        answer=Status,
    ),
    Endpoint(
        method="GET",
        path="/health/ready",
        handle=ready,
        summary="Whether requests can be answered",
        answer=Status,
        errors=(503,),
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        handle=metrics,
        summary="What the engines do, for Prometheus",
        answer=str,
        media_type="text/plain",
    ),
    Endpoint(
        method="GET",
        path="/openapi.json",
        handle=serve_document,
        summary="This document",
        answer=dict[str, Any],
    ),
    *_TOKEN_ENDPOINTS,
    _CHAT,
    _MODELS,
    *LLAMA_SERVER_ENDPOINTS,
)

V1_ENDPOINTS = (
    _CHAT,
    Endpoint(
        method="POST",
        path="/completions",
        handle=create_completion,
        summary="Continue a text",
        body=CompletionRequest,
        example={"model": "demo", "prompt": "Once upon a time", "max_tokens": 16},
        answer=Completion,
        events=Completion,
        last_data="[DONE]",
        errors=_OF_GENERATION,
    ),
    Endpoint(
        method="POST",
        path="/embeddings",
        handle=create_embeddings,
        summary="Texts as vectors",
        body=EmbeddingRequest,
        example={"model": "demo", "input": "The sea is wide."},
        answer=EmbeddingList,
        errors=_OF_GENERATION,
    ),
    Endpoint(
        method="POST",
        path="/responses",
        handle=create_response,
        summary="Answer a conversation, as OpenAI's Responses API does",
        body=ResponsesRequest,
        example={"model": "demo", "input": "Hello!"},
        answer=ResponseOut,
        events=ResponseEvent,
        errors=_OF_GENERATION,
    ),
    Endpoint(
        method="POST",
        path="/messages",
        handle=create_message,
        summary="Answer a conversation, as Anthropic's Messages API does",
        body=MessagesRequest,
        example={"model": "demo", "max_tokens": 100, "messages": _HELLO},
        answer=MessageOut,
        events=MessageEvent,
        error=AnthropicError,
        errors=_OF_GENERATION,
    ),
    Endpoint(
        method="POST",
        path="/messages/count_tokens",
        handle=count_tokens,
        summary="How many tokens a conversation has, as Anthropic's API tells it",
        body=Conversation,
        example={"model": "demo", "messages": _HELLO},
        answer=TokenCount,
        error=AnthropicError,
        errors=_OF_GENERATION,
    ),
    *_TOKEN_ENDPOINTS,
    Endpoint(
        method="GET",
        path="/models",
        handle=list_models,
        summary="The models that are served",
        headers=(VERSION_HEADER,),
        answer=ModelList | AnthropicModelList,
        error=Error | AnthropicError,
    ),
    Endpoint(
        method="GET",
        path="/models/{id:path}",
        handle=retrieve_model,
        summary="One model",
        headers=(VERSION_HEADER,),
        answer=ModelOut | AnthropicModel,
        error=Error | AnthropicError,
        errors=(404,),
    ),
)
"""Served below `/v1` and below the project's prefix."""
