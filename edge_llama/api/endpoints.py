"""All endpoints."""

from __future__ import annotations

from edge_llama.api.anthropic.endpoints import create_message
from edge_llama.api.chat import create_chat_completion
from edge_llama.api.completions.endpoint import create_completion
from edge_llama.api.endpoint import Endpoint
from edge_llama.api.health import health, live, ready
from edge_llama.api.models import list_models, retrieve_model
from edge_llama.api.responses.endpoint import create_response
from edge_llama.api.tokens import detokenize, tokenize, tokenizer_info

TOKEN_ENDPOINTS = (
    Endpoint(method="POST", path="/tokenize", handle=tokenize),
    Endpoint(method="POST", path="/detokenize", handle=detokenize),
    Endpoint(method="GET", path="/tokenizer_info", handle=tokenizer_info),
)

ROOT_ENDPOINTS = (
    Endpoint(method="GET", path="/health", handle=health),
    Endpoint(method="GET", path="/health/live", handle=live),
    Endpoint(method="GET", path="/health/ready", handle=ready),
    *TOKEN_ENDPOINTS,
)

V1_ENDPOINTS = (
    Endpoint(method="POST", path="/chat/completions", handle=create_chat_completion),
    Endpoint(method="POST", path="/completions", handle=create_completion),
    Endpoint(method="POST", path="/responses", handle=create_response),
    Endpoint(method="POST", path="/messages", handle=create_message),
    *TOKEN_ENDPOINTS,
    Endpoint(method="GET", path="/models", handle=list_models),
    Endpoint(method="GET", path="/models/{id:path}", handle=retrieve_model),
)
"""Served below `/v1` and below the project's prefix."""
