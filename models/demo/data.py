"""Conversations for the demo model: an endless training stream and held-out examples.

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

from extraction import Extraction, Extractor
from facts import (
    CAPITAL_QUESTIONS,
    CAPITALS,
    ENGLISH_ANSWER,
    ENGLISH_GREETINGS,
    GREETINGS,
    HELD_OUT_CAPITAL_QUESTIONS,
    SMALL_TALK,
    UNKNOWN_ANSWERS,
)
from prompt import Message
from tools import Function, Toolbox
from unknown import UnknownMessages
from wordings import (
    ADD_ORDERS,
    COUNT_ORDERS,
    END_SYSTEMS,
    FACT_KEYS,
    FACT_ORDERS,
    FACT_QUESTIONS,
    NAME_ORDERS,
    NAME_QUESTIONS,
    NUMBER_ORDERS,
    NUMBER_QUESTIONS,
    OTHER_SYSTEMS,
    REPEAT_ORDERS,
    START_SYSTEMS,
    UPPER_SYSTEMS,
)
from words import Vocabulary, is_held_out

HELPFUL = "You are a helpful assistant."

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
class Conversation:
    """Messages up to and including an assistant's answer, and the tools on offer."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


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


@dataclass
class Style:
    """A visible habit asked for by the system message."""

    system: str
    apply: Callable[[str], str]
    upper: bool = False


class Talk:
    """Draws turns; holds what one conversation has been told.

    Every drawing method returns one exchange: a user message, possibly a tool call with its
    result, and the assistant's answer. `room` is the most tokens, roughly, it may take.
    """

    def __init__(self, rng: Random, held_out: bool) -> None:
        self.rng = rng
        self.held_out = held_out
        self.words = Vocabulary(rng, held_out)
        self.unknown_messages = UnknownMessages(self.words)
        self.extractor = Extractor(self.words)
        self.toolbox = Toolbox(self.words)
        self.functions: list[Function] = []
        self.told: dict[str, str] = {}

    # Conversations' settings

    def style(self) -> Style:
        rng = self.rng
        kind = rng.choice(("upper", "end", "end", "start"))
        if kind == "upper":
            return self._prefixed(Style(rng.choice(UPPER_SYSTEMS), str.upper, upper=True))
        word = self.words.name() if rng.random() < 0.5 else self.words.odd_word()
        if kind == "end":
            style = Style(rng.choice(END_SYSTEMS).format(word), lambda text: f"{text} {word}")
        else:
            style = Style(rng.choice(START_SYSTEMS).format(word), lambda text: f"{word} {text}")
        return self._prefixed(style)

    def _prefixed(self, style: Style) -> Style:
        if self.rng.random() < 0.3:
            style.system = f"{HELPFUL} {style.system}"
        return style

    def system(self) -> str:
        """A system message without visible effect; often none."""
        kind = self.rng.random()
        if kind < 0.45:
            return ""
        if kind < 0.8:
            return HELPFUL
        return self.rng.choice(OTHER_SYSTEMS).format(self.words.word())

    def offer_tools(self, count: int) -> tuple[dict[str, Any], ...]:
        self.functions = self.toolbox.functions(count)
        return tuple(self.toolbox.schema(function) for function in self.functions)

    # Exchanges

    def greeting(self, room: int = 0) -> list[Message]:
        rng = self.rng
        if rng.random() < 0.4:
            greeting, answer = rng.choice(ENGLISH_GREETINGS), ENGLISH_ANSWER
        else:
            greetings, answer = rng.choice(GREETINGS)
            greeting = rng.choice(greetings)
        kind = rng.random()
        if kind < 0.2:
            greeting = greeting.lower()
        elif kind < 0.25:
            greeting = greeting.upper()
        return self._exchange(
            greeting + rng.choice(("", "", "!", "!", ".", "!!", " 👋", " !")), answer
        )

    def small_talk(self, room: int = 0) -> list[Message]:
        rng = self.rng
        questions, answer = rng.choice(SMALL_TALK)
        question = rng.choice(questions)
        kind = rng.random()
        if kind < 0.15:
            question = question.lower()
        elif kind < 0.3:
            question = question.rstrip("?.!") + rng.choice(("", "?", "!", "."))
        return self._exchange(question, answer)

    def memory(self, room: int = 0) -> list[Message]:
        """Tell something, or ask for something told (or, rarely, not told) before."""
        if self.told and self.rng.random() < 0.6:
            return self.recall()
        return self.tell()

    def tell(self) -> list[Message]:
        rng = self.rng
        kind = rng.random()
        if kind < 0.4:
            name = self.words.name() if rng.random() < 0.8 else self.words.full_name()
            self.told["name"] = name
            return self._exchange(
                rng.choice(NAME_ORDERS).format(name), f"Nice to meet you, {name}!"
            )
        if kind < 0.7:
            number = str(self.words.integer(0, rng.choice((99, 9999, 999_999, 99_999_999))))
            self.told["number"] = number
            order = rng.choice(NUMBER_ORDERS).format(number)
            return self._exchange(order, f"I will remember the number {number}.")
        key = rng.choice(FACT_KEYS)
        value = self.words.odd_word() if rng.random() < 0.7 else self.words.name()
        self.told[key] = value
        order = rng.choice(FACT_ORDERS).format(k=key, v=value)
        return self._exchange(order, f"I will remember that your {key} is {value}.")

    def recall(self) -> list[Message]:
        rng = self.rng
        key = rng.choice(list(self.told) or ["name"])
        if not self.held_out and rng.random() < 0.08:
            key = rng.choice(["name", "number", *FACT_KEYS])
        if key == "name":
            question, owner = rng.choice(NAME_QUESTIONS), "Your name"
        elif key == "number":
            question, owner = rng.choice(NUMBER_QUESTIONS), "The number"
        else:
            question, owner = rng.choice(FACT_QUESTIONS).format(k=key), f"Your {key}"
        if key not in self.told:
            return self._exchange(question, f"You have not told me {owner[0].lower()}{owner[1:]}.")
        return self._exchange(question, f"{owner} is {self.told[key]}.")

    def repeat(self, room: int = 120) -> list[Message]:
        rng = self.rng
        longest = max(2, min(room // 10, 60))
        count = rng.randint(1, longest) if rng.random() < 0.3 else rng.randint(1, min(longest, 8))
        text = self._text_to_repeat(count)
        order = rng.choice(REPEAT_ORDERS)
        if '"' in order:
            text = text.replace('"', "")
        return self._exchange(order.format(text), text)

    def _text_to_repeat(self, count: int) -> str:
        """A question, shuffled words of questions, or `count` unseen words with marks."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.2:
            return self.unknown_messages.question()
        if kind < 0.4:
            known = " ".join(self.unknown_messages.question() for _ in range(count)).split()
            return " ".join(rng.sample(known, min(count, len(known))))
        marks = rng.choices(("", ",", ".", "!", ":"), (16, 2, 1, 1, 1), k=count)
        return " ".join(self.words.odd_word() + mark for mark in marks).rstrip(",:")

    def count(self, room: int = 150) -> list[Message]:
        """Numbers take up to five tokens each, the comma and the space included."""
        rng = self.rng
        longest = max(3, min(room // 6, 320))
        length = rng.randint(3, longest) if rng.random() < 0.5 else rng.randint(2, min(longest, 15))
        kind = rng.random()
        if kind < 0.3:
            first = 1
        elif kind < 0.6:
            first = rng.randint(0, 99)
        else:
            first = rng.randint(0, 1000 - length)
        last = first + length - 1
        order = rng.choice(COUNT_ORDERS)
        if first == 1 and rng.random() < 0.3:
            order = rng.choice(("Count to {b}.", "Count up to {b}", "Can you count to {b}?"))
        numbers = ", ".join(map(str, range(first, last + 1)))
        return self._exchange(order.format(a=first, b=last), numbers)

    def add(self, room: int = 0) -> list[Message]:
        rng = self.rng
        while True:
            low = 10 if self.held_out or rng.random() < 0.75 else 0
            a, b = rng.randint(low, 99), rng.randint(low, 99)
            if is_held_out("add", a, b) == self.held_out:
                break
        return self._exchange(rng.choice(ADD_ORDERS).format(a=a, b=b), f"{a} + {b} = {a + b}")

    def capital(self, room: int = 0) -> list[Message]:
        rng = self.rng
        country, city = rng.choice(list(CAPITALS.items()))
        orders = HELD_OUT_CAPITAL_QUESTIONS if self.held_out else CAPITAL_QUESTIONS
        question = rng.choice(orders).format(c=country)
        if rng.random() < 0.08:
            question = question.lower()
        return self._exchange(question, f"The capital of {country} is {city}.")

    def tool_call(self, room: int = 0) -> list[Message]:
        call = self.toolbox.call(self.rng.choice(self.functions))
        result, answer = self.toolbox.result()
        return [
            Message("user", call.question),
            Message("assistant", call.text),
            Message("tool", result),
            Message("assistant", answer),
        ]

    def extract(self, room: int = 0) -> list[Message]:
        return extraction_exchange(self.extractor.extraction())

    def unknown(self, room: int = 150) -> list[Message]:
        if not self.functions and self.rng.random() < 0.12:
            message = self.toolbox.idle_question()
        else:
            message = self.unknown_messages.message(longest=max(2, min(room // 25, 60)))
        return self._exchange(message, self.rng.choice(UNKNOWN_ANSWERS))

    def _exchange(self, question: str, answer: str) -> list[Message]:
        return [Message("user", question), Message("assistant", answer)]


Exchange = Callable[[int], list[Message]]


def conversation_kinds(talk: Talk) -> dict[str, Exchange]:
    """The exchanges that may follow each other freely."""
    return {
        "greeting": talk.greeting,
        "small_talk": talk.small_talk,
        "memory": talk.memory,
        "repeat": talk.repeat,
        "count": talk.count,
        "add": talk.add,
        "capital": talk.capital,
        "extract": talk.extract,
        "unknown": talk.unknown,
    }


#: Shares of the exchanges, and of conversations with a style, tools or a system-given extraction.
MIXTURE = {
    "greeting": 1.0,
    "small_talk": 0.6,
    "memory": 2.0,
    "repeat": 3.0,
    "count": 1.0,
    "add": 3.0,
    "capital": 0.8,
    "extract": 2.5,
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
            tools = talk.offer_tools(self.rng.randint(1, 3))
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


def extraction_exchange(extraction: Extraction) -> list[Message]:
    return [Message("user", extraction.order), Message("assistant", extraction.answer)]


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
