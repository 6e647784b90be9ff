"""Whose API a request speaks: OpenAI's or Anthropic's."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import Scope

VERSION_HEADER = "anthropic-version"
"""All of Anthropic's clients send it, nobody else's do."""

_ANTHROPICS_OWN = re.compile(r"/v1/messages(/|$)")
_OF_BOTH = re.compile(r"/v1/models(/|$)")


def speaks_anthropic(scope: Scope) -> bool:
    """By its address, or, at an address that both APIs have, by Anthropic's header."""
    path = scope["path"]
    if _ANTHROPICS_OWN.search(path):
        return True
    return bool(_OF_BOTH.search(path)) and VERSION_HEADER in Headers(scope=scope)
