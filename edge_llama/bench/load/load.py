"""Load: who asks what, and when."""

from __future__ import annotations

import json
from dataclasses import dataclass

ORDER = json.dumps(
    {
        "type": "object",
        "properties": {
            "order_number": {"type": "integer", "minimum": 1, "maximum": 999999},
            "customer_name": {"type": "string", "maxLength": 24},
            "article_description": {"type": "string", "maxLength": 32},
            "quantity_ordered": {"type": "integer", "minimum": 1, "maximum": 99},
            "delivery_method": {"enum": ["parcel", "letter", "courier"]},
            "is_express_delivery": {"type": "boolean"},
        },
        "required": [
            *("order_number", "customer_name", "article_description"),
            *("quantity_ordered", "delivery_method", "is_express_delivery"),
        ],
        "additionalProperties": False,
    }
)
"""Six fields, whose names are most of the text."""

LONG_STRING = json.dumps({"type": "string", "minLength": 4000})
"""Almost anything may follow, and it does not end."""

TEMPLATE_TOKENS = 128
"""Tokens that a chat template may add to a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of a load. Others are named by their number in it, and stand before it.

    Attributes:
        prompt_tokens: tokens of its own part of the prompt, about.
        output_tokens: most tokens it gets.
        system_tokens: tokens of a system prompt, the same text for all requests of the load.
        continues: the request whose conversation it goes on with: prompt, answer, its own part.
        delay: seconds after the start of the load, at the earliest.
        after: the request it waits for.
        after_outputs: pieces of an answer that request must have got; None waits for its end.
        until: the later request at whose end this one is broken off.
        schema: JSON Schema that the answer is to be valid against, as JSON.
    """

    prompt_tokens: int
    output_tokens: int
    system_tokens: int = 0
    continues: int | None = None
    delay: float = 0.0
    after: int | None = None
    after_outputs: int | None = None
    until: int | None = None
    schema: str | None = None

    @property
    def cells(self) -> int:
        """Tokens of context that it adds, at most."""
        return self.system_tokens + self.prompt_tokens + self.output_tokens + TEMPLATE_TOKENS


@dataclass(frozen=True, slots=True)
class Load:
    """The requests of one run."""

    requests: tuple[Request, ...]

    @property
    def independent(self) -> bool:
        """No request needs another one: a loop without connections and turns can play it."""
        return all(request.after is request.continues is None for request in self.requests)

    @property
    def cells(self) -> int:
        """Tokens of context that hold all of it."""
        return sum(request.cells for request in self.requests)

    @property
    def longest(self) -> int:
        """Tokens of context that hold each of its requests."""
        return max(request.cells for request in self.requests)

    @property
    def clients(self) -> int:
        """Requests that run at the same time, at most."""
        if self.independent:
            return len(self.requests)
        return 1 + sum(request.until is not None for request in self.requests)


def solo(prompt_tokens: int, output_tokens: int) -> Load:
    """One request alone."""
    return Load((Request(prompt_tokens=prompt_tokens, output_tokens=output_tokens),))


def concurrent(clients: int, prompt_tokens: int, output_tokens: int, apart: float) -> Load:
    """Requests that come `apart` seconds from each other."""
    return Load(
        tuple(
            Request(prompt_tokens=prompt_tokens, output_tokens=output_tokens, delay=apart * number)
            for number in range(clients)
        )
    )


def newcomer(prompt_tokens: int) -> Load:
    """A prompt alone (0), then a running stream (1) into which another such prompt comes (2)."""
    return Load(
        (
            Request(prompt_tokens=prompt_tokens, output_tokens=2),
            Request(prompt_tokens=16, output_tokens=512, after=0, until=2),
            Request(prompt_tokens=prompt_tokens, output_tokens=2, after=1, after_outputs=16),
        )
    )


def one_after_the_other(count: int, prompt_tokens: int, output_tokens: int) -> Load:
    """Requests of which each waits for the end of the one before."""
    return Load(
        tuple(
            Request(
                prompt_tokens=prompt_tokens,
                output_tokens=output_tokens,
                after=number - 1 if number else None,
            )
            for number in range(count)
        )
    )


def same_system_prompt(system_tokens: int, question_tokens: int) -> Load:
    """A question alone (0), one after a long system prompt (1), another one after the same (2)."""
    return Load(
        tuple(
            Request(
                prompt_tokens=question_tokens,
                output_tokens=2,
                system_tokens=system_tokens if number else 0,
                after=number - 1 if number else None,
            )
            for number in range(3)
        )
    )


def conversations(count: int, first_tokens: int, second_tokens: int) -> Load:
    """The first turns of all conversations one after the other, then the second turns."""
    first_turns = [
        Request(
            prompt_tokens=first_tokens,
            output_tokens=2,
            after=number - 1 if number else None,
        )
        for number in range(count)
    ]
    second_turns = [
        Request(
            prompt_tokens=second_tokens,
            output_tokens=2,
            continues=number,
            after=count + number - 1,
        )
        for number in range(count)
    ]
    return Load((*first_turns, *second_turns))


def forms(output_tokens: int) -> Load:
    """A free text (0), a string in JSON (1) and an order in JSON (2), one after the other."""
    return Load(
        tuple(
            Request(
                prompt_tokens=16,
                output_tokens=output_tokens,
                after=number - 1 if number else None,
                schema=schema,
            )
            for number, schema in enumerate((None, LONG_STRING, ORDER))
        )
    )
