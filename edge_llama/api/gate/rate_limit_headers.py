"""RateLimitHeaders: how the limits of a key stand, in every answer.

The names are OpenAI's: https://platform.openai.com/docs/guides/rate-limits
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

from edge_llama.accounts.account import Account

KINDS = ("requests", "tokens")
NAMES = tuple(
    f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining", "reset") for kind in KINDS
)
"""All that there are; web pages may read them."""


class RateLimitHeaders:
    """Adds them to the beginning of an answer.

    Args:
        send: where the answer goes.
        account: of whoever asked.
        clock: seconds since 1970.
    """

    def __init__(
        self, send: Send, account: Account, clock: Callable[[], float] = time.time
    ) -> None:
        self._send = send
        self._account = account
        self._clock = clock

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in self._headers():
                headers[name] = value
        await self._send(message)

    def _headers(self) -> Iterator[tuple[str, str]]:
        for kind, standing in zip(KINDS, self._account.standing(self._clock()), strict=True):
            if standing is not None:
                yield f"x-ratelimit-limit-{kind}", str(standing.limit)
                yield f"x-ratelimit-remaining-{kind}", str(standing.remaining)
                yield f"x-ratelimit-reset-{kind}", f"{math.ceil(standing.reset)}s"
