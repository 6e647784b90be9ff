"""Conversations for the demo model: an endless training stream.

Everything is written by this code from a seed. Held out by construction: a tenth of all random
words, names and numbers, of the pairs of summands and of the tools' names (`words.is_held_out`),
and some wordings of capital and unknown questions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Any

from prompt import Message
from talk import Exchange, Talk, conversation_kinds, extraction_exchange


@dataclass(frozen=True)
class Conversation:
    """Messages up to and including an assistant's answer, and the tools on offer."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


#: Shares of the exchanges, and of conversations with a style, tools or a system-given extraction.
MIXTURE = {
    "greeting": 1.0,
    "small_talk": 0.6,
    "memory": 2.0,
    "repeat": 4.5,
    "count": 1.0,
    "add": 3.0,
    "capital": 0.8,
    "extract": 3.5,
    "unknown": 1.2,
    "style": 4.0,
    "tools": 40.0,
    "tool_call": 60.0,
    "system_extract": 1.2,
    "mixed": 7.0,
}

#: The exchanges whose answers are fixed sentences and numbers: what upper case is taught on.
UPPER_KINDS = ("greeting", "small_talk", "count", "add", "capital", "unknown")

#: Fewer tokens than this leave no room for a tool and a call.
TOOL_BUDGET = 384
#: About how many tokens the system turn's dates and the sentences before the tools take.
PREAMBLE = 40
TOOLS_PREFACE = 60


@dataclass
class Setting:
    """What a whole conversation shares: the exchanges it may have, and how answers are put."""

    system: str
    kinds: dict[str, Exchange]
    tools: tuple[dict[str, Any], ...] = ()
    apply: Callable[[str], str] = str


class Training:
    """An endless stream of conversations that fill a token budget."""

    def __init__(self, seed: int, length: Callable[[Message], int]) -> None:
        """`length` tells a message's tokens, its header and end included."""
        self.rng = Random(seed)
        self.length = length

    def conversation(self, budget: int) -> Conversation:
        """A conversation of at most about `budget` tokens."""
        talk = Talk(self.rng, held_out=False)
        setting = self._setting(talk, budget)
        room = budget - PREAMBLE - self.length(Message("system", setting.system))
        room -= self._tools_length(setting.tools)
        messages = [Message("system", setting.system)] if setting.system else []
        misses = 0
        while misses < 3:
            kind = self._draw(list(setting.kinds))
            told = dict(talk.told)
            exchange = setting.kinds[kind](room)
            size = sum(map(self.length, exchange))
            if size > room:
                talk.told = told
                misses += 1
                continue
            room -= size
            final = exchange.pop()
            messages += [*exchange, Message("assistant", setting.apply(final.content))]
        return Conversation(tuple(messages), setting.tools)

    def _setting(self, talk: Talk, budget: int) -> Setting:
        kinds = conversation_kinds(talk)
        settings = ["style", "system_extract", "mixed"] + ["tools"] * (budget >= TOOL_BUDGET)
        drawn = self._draw(settings)
        if drawn == "style":
            style = talk.style()
            allowed = UPPER_KINDS if style.upper else (*UPPER_KINDS, "memory")
            return Setting(style.system, {k: kinds[k] for k in allowed}, apply=style.apply)
        if drawn == "system_extract":
            system, found = talk.extractor.system_extractions(8)
            texts = cycle(found)
            return Setting(system, {"extract": lambda room: extraction_exchange(next(texts))})
        if drawn == "tools":
            tools = talk.offer_tools(self.rng.choice((1, 2, 2, 3, 3)))
            while len(tools) > 1 and self._tools_length(tools) > budget * 2 // 3:
                tools = talk.offer_tools(len(tools) - 1)
            return Setting(talk.system(), kinds | {"tool_call": talk.tool_call}, tools)
        return Setting(talk.system(), kinds)

    def _tools_length(self, tools: Sequence[dict[str, Any]]) -> int:
        texts = (json.dumps(tool, indent=4) for tool in tools)
        listed = sum(self.length(Message("user", text)) for text in texts)
        return listed + TOOLS_PREFACE if tools else 0

    def _draw(self, kinds: Sequence[str]) -> str:
        return self.rng.choices(kinds, [MIXTURE[kind] for kind in kinds])[0]
