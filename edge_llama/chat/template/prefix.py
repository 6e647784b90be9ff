"""What all conversations with the same system message and tools begin with."""

from __future__ import annotations

from collections.abc import Sequence

from edge_llama.chat.messages import Message, Role
from edge_llama.chat.template.template import ChatTemplate
from edge_llama.chat.tools.tool import Tool
from edge_llama.engine.protocol.prompt import Prompt, Segment, Text

_QUESTIONS = ("How are you?", "What time is it?")


def shared_prefix(template: ChatTemplate, system: str, tools: Sequence[Tool]) -> Prompt:
    """The beginning of every prompt with this system message and these tools.

    Raises:
        InvalidValue, TemplateError: as `ChatTemplate.render` does.
    """
    before = (Message(Role.SYSTEM, system),) if system else ()
    one, other = (
        template.render((*before, Message(Role.USER, question)), tools) for question in _QUESTIONS
    )
    prefix: list[Segment] = []
    for a, b in zip(one, other, strict=False):
        if a != b:
            if isinstance(a, Text) and isinstance(b, Text):
                prefix.append(Text(_common_text(a.text, b.text)))
            break
        prefix.append(a)
    return tuple(prefix)


def _common_text(a: str, b: str) -> str:
    pairs = enumerate(zip(a, b, strict=False))
    differing = (place for place, (one, other) in pairs if one != other)
    return a[: next(differing, min(len(a), len(b)))]
