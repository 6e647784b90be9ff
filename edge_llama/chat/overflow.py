"""Conversations that are too long: what is left of them without their oldest turns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from edge_llama.chat.messages import ChatRequest, Message, Role

DEFAULT_ROOM = 4
MAX_ROOM = 2
"""Parts of the context: one in so many is kept for an answer of any length, and at most."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was left out of a conversation.

    Attributes:
        messages: how many.
        tokens: by how many the prompt became shorter.
    """

    messages: int
    tokens: int


def without_oldest(messages: Sequence[Message], exchanges: int) -> tuple[Message, ...]:
    """The conversation without its oldest exchanges; system messages stay.

    An exchange is a user's turn with all that follows up to the next one: answers, calls of tools
    and their results.
    """
    numbers = _exchange_numbers(messages)
    return tuple(
        message
        for message, number in zip(messages, numbers, strict=True)
        if message.role is Role.SYSTEM or number >= exchanges
    )


def count_exchanges(messages: Sequence[Message]) -> int:
    """How many exchanges there are; what comes before the first user's turn counts as one."""
    return max(_exchange_numbers(messages), default=-1) + 1


def _exchange_numbers(messages: Sequence[Message]) -> list[int]:
    """The exchange of each message, from 0."""
    begins = [message.role is Role.USER for message in messages]
    spoken = [message.role is not Role.SYSTEM for message in messages]
    counts = list(accumulate(map(int, begins)))
    first = spoken.index(True) if True in spoken else 0
    headless = bool(messages) and not begins[first]
    return [max(0, count - 1 + headless) for count in counts]


async def fit(
    request: ChatRequest, n_ctx: int, count: Callable[[ChatRequest], Awaitable[int]]
) -> tuple[ChatRequest, Dropped | None]:
    """The request without as many of its oldest exchanges as it takes to fit; the last one stays.

    It fits when there is room for `max_tokens` of output, of which at most half of the context is
    kept free, or without `max_tokens` for a quarter of it.

    Args:
        request: what to shorten.
        n_ctx: tokens that fit into the context.
        count: tokens of a request's prompt.
    """
    limit = n_ctx - min(request.options.max_tokens or n_ctx // DEFAULT_ROOM, n_ctx // MAX_ROOM)
    whole = await count(request)
    if whole <= limit:
        return request, None
    low, high = 0, count_exchanges(request.messages) - 1
    if high < 1:
        return request, None
    # `low` dropped are too few, `high` are enough or all there are.
    while high - low > 1:
        middle = (low + high) // 2
        if await count(_shortened(request, middle)) <= limit:
            high = middle
        else:
            low = middle
    shortened = _shortened(request, high)
    messages = len(request.messages) - len(shortened.messages)
    return shortened, Dropped(messages, whole - await count(shortened))


def _shortened(request: ChatRequest, exchanges: int) -> ChatRequest:
    return replace(request, messages=without_oldest(request.messages, exchanges))
