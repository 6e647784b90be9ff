"""Stream: one request and when its answer came, as its client saw it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Stream:
    """One client's request. All times are seconds from the start of the load.

    Attributes:
        prompt_tokens: tokens of its prompt.
        cached_tokens: how many of them came from a prefix cache; None if the server does not say.
        output_tokens: tokens that it got.
        start: when it was sent.
        times: when each piece of its answer came, at least one; mostly a piece is one token.
    """

    prompt_tokens: int
    cached_tokens: int | None
    output_tokens: int
    start: float
    times: tuple[float, ...]

    @property
    def end(self) -> float:
        """When it had all."""
        return self.times[-1]

    @property
    def ttft(self) -> float:
        """Seconds from the request to the first token."""
        return self.times[0] - self.start

    def gaps(self, since: float = 0.0, until: float = float("inf")) -> list[float]:
        """Seconds between one piece and the next, of those that were waited for in that time."""
        return [
            after - before
            for before, after in pairwise(self.times)
            if after > since and before < until
        ]


def decode_rate(stream: Stream) -> float:
    """Tokens per second after the first."""
    return _rate(stream.output_tokens - 1, stream.end - stream.times[0])


def prefill_rate(stream: Stream) -> float:
    """Tokens of the prompt per second, without those that were cached."""
    return _rate(stream.prompt_tokens - (stream.cached_tokens or 0), stream.ttft)


def throughput(streams: Iterable[Stream]) -> float:
    """Output tokens per second of all streams, from the first request to the last token."""
    streams = list(streams)
    return _rate(
        sum(stream.output_tokens for stream in streams),
        max(stream.end for stream in streams) - min(stream.start for stream in streams),
    )


def together_rate(streams: Iterable[Stream]) -> float:
    """Tokens per second of all streams while each of them gets tokens."""
    streams = list(streams)
    since = max(stream.times[0] for stream in streams)
    until = min(stream.end for stream in streams)
    tokens = sum(since < time <= until for stream in streams for time in stream.times)
    return _rate(tokens, until - since)


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if seconds > 0 else 0.0
