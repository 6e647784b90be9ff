"""One answer in the terminal, as it streams."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_llama.chat.events import Finished, Started, TextDelta
from edge_llama.chat.messages import ChatRequest
from edge_llama.cli.chat.partner import Partner, PartnerReply
from edge_llama.engine.protocol.output import FinishReason


class Answer:
    """What the model said so far; right also when the stream was cut short.

    Attributes:
        text: all text so far.
        reason: why it ended; None while it runs, and after an interrupt.
    """

    def __init__(self) -> None:
        self.text = ""
        self.reason: FinishReason | None = None
        self._reply: PartnerReply | None = None
        self._asked = self._first = self._last = time.perf_counter()

    async def stream(
        self, partner: Partner, request: ChatRequest, write: Callable[[str], None]
    ) -> None:
        """Ask, and `write` each piece of text when it arrives.

        Waits for an engine that is restarting. Raises what the partner and its reply raise.
        """
        await partner.ready()
        self._asked = self._first = self._last = time.perf_counter()
        async with await partner.start(request) as reply:
            self._reply = reply
            async for event in reply:
                self._last = time.perf_counter()
                if isinstance(event, Started):
                    self._first = self._last
                elif isinstance(event, TextDelta):
                    self.text += event.text
                    write(event.text)
                elif isinstance(event, Finished):
                    self.reason = event.reason

    @property
    def summary(self) -> str:
        """Tokens, tokens per second and time to the first token; empty before the first."""
        tokens = self._reply.usage.completion_tokens if self._reply else 0
        if not tokens:
            return ""
        parts = [f"{tokens} token" + "s" * (tokens > 1)]
        if tokens > 1 and self._last > self._first:
            parts.append(f"{(tokens - 1) / (self._last - self._first):.1f} tokens/s")
        parts.append(f"first after {self._first - self._asked:.2f} s")
        return " · ".join(parts)
