"""Llama 3.1's chat format as segments: control tokens apart from text.

Follows meta-llama/Llama-3.1-8B-Instruct's chat template: fixed dates, tools in the first user
turn, tool results in the role `ipython`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

BEGIN = "<|begin_of_text|>"
HEADER = "<|start_header_id|>"
HEADER_END = "<|end_header_id|>"
END_OF_TURN = "<|eot_id|>"

_DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
_TOOLS_PREFACE = (
    "Given the following functions, please respond with a JSON for a function call "
    "with its proper arguments that best answers the given prompt.\n\n"
    'Respond in the format {"name": function name, "parameters": dictionary of argument name '
    "and its value}.Do not use variables.\n\n"
)


@dataclass(frozen=True)
class Message:
    """role is system, user, assistant or tool; an assistant's tool call is its JSON text."""

    role: str
    content: str


@dataclass(frozen=True)
class Segment:
    """A control token or a text; `spoken` marks what the assistant says, its end included."""

    text: str
    control: bool = False
    spoken: bool = False


def _turn(role: str, content: str) -> Iterator[Segment]:
    spoken = role == "assistant"
    yield Segment(HEADER, control=True)
    yield Segment(role)
    yield Segment(HEADER_END, control=True)
    if spoken:
        yield Segment("\n\n")
        yield Segment(content, spoken=True)
    else:
        yield Segment("\n\n" + content)
    yield Segment(END_OF_TURN, control=True, spoken=spoken)


def opening(system: str, tools: Sequence[dict[str, Any]] | None) -> Iterator[Segment]:
    """The start of every conversation, up to the end of the system turn."""
    yield Segment(BEGIN, control=True)
    environment = "Environment: ipython\n" if tools else ""
    yield from _turn("system", environment + _DATES + system.strip())


def turn(message: Message, tools: Sequence[dict[str, Any]] | None = None) -> Iterator[Segment]:
    """One turn; `tools` go with the first user turn only."""
    if message.role == "tool":
        return _turn("ipython", json.dumps(message.content, ensure_ascii=False))
    content = message.content.strip()
    if tools:
        listed = "".join(json.dumps(t, indent=4, ensure_ascii=False) + "\n\n" for t in tools)
        content = _TOOLS_PREFACE + listed + content
    return _turn(message.role, content)


def render(
    messages: Sequence[Message], tools: Sequence[dict[str, Any]] | None = None
) -> list[Segment]:
    """A whole prompt, ending where the assistant should speak."""
    system, rest = "", list(messages)
    if rest and rest[0].role == "system":
        system = rest.pop(0).content
    segments = list(opening(system, tools))
    for index, message in enumerate(rest):
        segments += turn(message, tools if index == 0 else None)
    segments += [Segment(HEADER, control=True), Segment("assistant")]
    return [*segments, Segment(HEADER_END, control=True), Segment("\n\n")]
