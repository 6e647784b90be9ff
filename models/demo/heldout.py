"""Held-out prompts, which measure the demo model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from facts import UNKNOWN_ANSWERS
from prompt import Message
from talk import Talk, conversation_kinds, extraction_exchange

BEHAVIOURS = (
    "greeting",
    "small_talk",
    "memory",
    "system",
    "repeat",
    "count",
    "add",
    "capital",
    "tool_call",
    "tool_answer",
    "extract",
    "unknown",
)


@dataclass(frozen=True)
class Example:
    """A held-out prompt and the answers that count as right."""

    behaviour: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    answers: tuple[str, ...]

    def accepts(self, answer: str) -> bool:
        """Exact text, or for JSON answers the same value with the keys in the same order."""
        answer = answer.strip()
        if self.behaviour not in ("tool_call", "extract"):
            return answer in self.answers
        try:
            return json.dumps(json.loads(answer)) == json.dumps(json.loads(self.answers[0]))
        except json.JSONDecodeError:
            return False


def heldout(behaviour: str, n: int, seed: int = 0) -> list[Example]:
    """`n` prompts of a behaviour, with values and wordings that training never sees."""
    rng = Random(f"{behaviour} {seed}")
    return [_heldout_example(behaviour, Talk(rng, held_out=True)) for _ in range(n)]


def _heldout_example(behaviour: str, talk: Talk) -> Example:
    rng = talk.rng
    system = talk.system()
    apply: Callable[[str], str] = str
    tools: tuple[dict[str, Any], ...] = ()
    kinds = conversation_kinds(talk)
    history: list[Message] = []
    if behaviour == "memory":
        history = talk.tell()
        chatter = ("greeting", "small_talk", "capital", "add", "repeat", "unknown")
        for _ in range(rng.randint(0, 4)):
            history += kinds[rng.choice(chatter)](60)
        exchange = talk.recall()
    elif behaviour == "system":
        style = talk.style()
        system, apply = style.system, style.apply
        exchange = kinds[rng.choice(("greeting", "small_talk", "add", "capital", "unknown"))](60)
    elif behaviour in ("tool_call", "tool_answer"):
        tools = talk.offer_tools(rng.randint(1, 3))
        exchange = talk.tool_call()
        exchange = exchange[:2] if behaviour == "tool_call" else exchange
    elif behaviour == "extract" and rng.random() < 0.3:
        system, found = talk.extractor.system_extractions(1)
        exchange = extraction_exchange(found[0])
    else:
        if rng.random() < 0.3:
            history = kinds[rng.choice(("greeting", "capital", "add", "unknown"))](60)
        room = rng.choices((150, 600, 1800), (6, 3, 1))[0]
        exchange = kinds[behaviour](room)
    answer = exchange.pop().content
    answers = UNKNOWN_ANSWERS if answer in UNKNOWN_ANSWERS else (answer,)
    opening = [Message("system", system)] if system else []
    return Example(
        behaviour, (*opening, *history, *exchange), tools, tuple(apply(text) for text in answers)
    )
