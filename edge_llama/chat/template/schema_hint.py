"""The form of an answer, told to the model: what it is only held to, it does not know."""

from __future__ import annotations

from dataclasses import replace

from edge_llama.chat.messages import ChatRequest, Message, Role

MAX_CHARACTERS = 4096
"""Of a schema that is told: some 1,000 tokens. Longer ones would take the place of what is said."""

HINT = "Answer with JSON that is valid against this JSON Schema, and with nothing else:"


def hinted(request: ChatRequest) -> ChatRequest:
    """The request with its schema at the end of the system message, if that is short enough."""
    if request.schema_hint is None or len(request.schema_hint) > MAX_CHARACTERS:
        return request
    first, *others = request.messages
    text = f"{HINT}\n{request.schema_hint}"
    if first.role is Role.SYSTEM:
        first = replace(first, content=f"{first.content}\n\n{text}".lstrip())
    else:
        first, others = Message(Role.SYSTEM, text), [first, *others]
    return replace(request, messages=(first, *others), schema_hint=None)
