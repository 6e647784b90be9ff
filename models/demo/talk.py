"""Exchanges: what a user says and what the demo model should answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


def extraction_exchange(extraction: Extraction) -> list[Message]:
    return [Message("user", extraction.order), Message("assistant", extraction.answer)]
