"""llama-server's own endpoints, for the tables of all."""

from __future__ import annotations

from typing import Any

from edge_llama.api.endpoint import Endpoint
from edge_llama.api.llama_server.completion import create_infill, create_native_completion
from edge_llama.api.llama_server.endpoint import (
    apply_template,
    create_native_embeddings,
    props,
    slots,
    version,
)
from edge_llama.api.llama_server.schemas import (
    InfillRequest,
    NativeCompletionRequest,
    NativeEmbeddingRequest,
    TemplateRequest,
)
from edge_llama.api.llama_server.shapes import (
    NativeCompletion,
    NativeEmbedding,
    NativePart,
    Props,
    Slot,
    TemplatedOut,
    Version,
)

_ERRORS = (400, 404, 413, 415, 429, 500, 503)
_LOOKING = (404, 500, 503)


def _completion(path: str) -> Endpoint:
    return Endpoint(
        method="POST",
        path=path,
        handle=create_native_completion,
        summary="Continue texts, as llama-server does",
        body=NativeCompletionRequest,
        example={"prompt": "Once upon a time", "n_predict": 16},
        answer=NativeCompletion | list[NativeCompletion] | dict[str, Any] | list[dict[str, Any]],
        events=NativePart | NativeCompletion | dict[str, Any],
        errors=_ERRORS,
    )


def _embedding(path: str) -> Endpoint:
    return Endpoint(
        method="POST",
        path=path,
        handle=create_native_embeddings,
        summary="Texts as vectors, as llama-server tells them",
        body=NativeEmbeddingRequest,
        example={"model": "demo", "input": "The sea is wide."},
        answer=list[NativeEmbedding],
        errors=_ERRORS,
    )


LLAMA_SERVER_ENDPOINTS = (
    _completion("/completion"),
    _completion("/completions"),
    _embedding("/embedding"),
    _embedding("/embeddings"),
    Endpoint(
        method="POST",
        path="/infill",
        handle=create_infill,
        summary="Fill in the middle of a text",
        body=InfillRequest,
        example={"input_prefix": "def add(a, b):\n", "input_suffix": "\n"},
        answer=NativeCompletion | dict[str, Any],
        events=NativePart | NativeCompletion | dict[str, Any],
        errors=_ERRORS,
    ),
    Endpoint(
        method="POST",
        path="/apply-template",
        handle=apply_template,
        summary="The prompt of a conversation",
        body=TemplateRequest,
        example={"messages": [{"role": "user", "content": "Hello!"}]},
        answer=TemplatedOut,
        errors=_ERRORS,
    ),
    Endpoint(
        method="GET",
        path="/props",
        handle=props,
        summary="What there is to know of a model",
        query=("model",),
        answer=Props,
        errors=_LOOKING,
    ),
    Endpoint(
        method="GET",
        path="/slots",
        handle=slots,
        summary="How many sequences a model computes",
        query=("model",),
        answer=list[Slot],
        errors=_LOOKING,
    ),
    Endpoint(
        method="GET",
        path="/version",
        handle=version,
        summary="The version of this server",
        answer=Version,
    ),
)
