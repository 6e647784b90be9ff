"""Errors as the APIs tell them, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class ErrorDetails(TypedDict):
    """What is wrong, and the request's field at fault."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(TypedDict):
    """OpenAI's error."""

    error: ErrorDetails


class AnthropicErrorDetails(TypedDict):
    type: str
    message: str


class AnthropicError(TypedDict):
    """Anthropic's error."""

    type: Literal["error"]
    error: AnthropicErrorDetails
