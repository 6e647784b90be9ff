"""Measures: from the streams of one run to numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from edge_llama.bench.load.stream import (
    Stream,
    decode_rate,
    prefill_rate,
    throughput,
    together_rate,
)
from edge_llama.bench.scenarios.quantity import Quantity, Unit

Streams: TypeAlias = Sequence[Stream]

WARM_SHARE = 0.75
"""Of what a conversation had before: as much must come from the cache for a turn to be warm."""

WARM_TIME = 0.5
"""Of the first turn's time to first token: where the server does not tell what was cached."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity and how it is read off a run."""

    quantity: Quantity
    read: Callable[[Streams], float]

    def __call__(self, streams: Streams) -> float:
        """The number of one run; NaN if this run cannot tell."""
        return self.read(streams)


def _measure(key: str, title: str, unit: Unit, read: Callable[[Streams], float]) -> Measure:
    return Measure(Quantity(key, title, unit), read)


DECODE = _measure(
    "tokens_per_second", "decode", Unit.TOKENS_PER_SECOND, lambda run: decode_rate(run[0])
)
PREFILL = _measure(
    "tokens_per_second", "prefill", Unit.TOKENS_PER_SECOND, lambda run: prefill_rate(run[0])
)
THROUGHPUT = _measure("tokens_per_second", "output in all", Unit.TOKENS_PER_SECOND, throughput)
TOGETHER = _measure(
    "tokens_per_second", "decode of all together", Unit.TOKENS_PER_SECOND, together_rate
)
P99_GAP = _measure(
    "p99_gap",
    "gap between tokens, p99",
    Unit.SECONDS,
    lambda run: _percentile([gap for stream in run for gap in stream.gaps()], 0.99),
)
MEDIAN_TTFT = _measure(
    "median_ttft",
    "time to first token, median",
    Unit.SECONDS,
    lambda run: median(stream.ttft for stream in run),
)


def newcomer_measures() -> tuple[Measure, ...]:
    """Of the load `newcomer`: 0 alone, 1 the running stream, 2 the newcomer."""

    def solo_gap(run: Streams) -> float:
        gaps = run[1].gaps(until=run[2].start)
        return median(gaps) if gaps else math.nan

    def longest_gap(run: Streams) -> float:
        return max(run[1].gaps(run[2].start, run[2].times[0]), default=math.nan)

    return (
        _measure("solo_gap", "gap between tokens, alone", Unit.SECONDS, solo_gap),
        _measure("longest_gap", "longest gap, newcomer there", Unit.SECONDS, longest_gap),
        _measure(
            "longest_gap_ratio",
            "longest gap / gap alone",
            Unit.RATIO,
            lambda run: longest_gap(run) / solo_gap(run),
        ),
        _measure(
            "ttft_alone", "newcomer's first token, alone", Unit.SECONDS, lambda run: run[0].ttft
        ),
        _measure("ttft", "newcomer's first token", Unit.SECONDS, lambda run: run[2].ttft),
        _measure(
            "ttft_ratio",
            "newcomer's first token / alone",
            Unit.RATIO,
            lambda run: run[2].ttft / run[0].ttft,
        ),
    )


def prefix_measures() -> tuple[Measure, ...]:
    """Of the load `same_system_prompt`: 0 the question alone, 1 cold, 2 warm."""
    return (
        _measure("cold_ttft", "first question", Unit.SECONDS, lambda run: run[1].ttft),
        _measure("warm_ttft", "second question", Unit.SECONDS, lambda run: run[2].ttft),
        _measure("short_ttft", "a question alone", Unit.SECONDS, lambda run: run[0].ttft),
        _measure(
            "warm_ratio",
            "second question / question alone",
            Unit.RATIO,
            lambda run: run[2].ttft / run[0].ttft,
        ),
        _measure(
            "cached_tokens", "tokens from the cache", Unit.TOKENS, lambda run: _cached(run[2])
        ),
    )


def churn_measures(count: int) -> tuple[Measure, ...]:
    """Of the load `conversations`: the first turns, then the second turns."""
    return (
        _measure(
            "warm_share",
            "second turns that were warm",
            Unit.SHARE,
            lambda run: sum(map(is_warm, run[count:], run[:count])) / count,
        ),
        _measure(
            "warm_ttft",
            "second turn, median",
            Unit.SECONDS,
            lambda run: median(stream.ttft for stream in run[count:]),
        ),
        _measure(
            "cold_ttft",
            "first turn, median",
            Unit.SECONDS,
            lambda run: median(stream.ttft for stream in run[:count]),
        ),
    )


def form_measures(output_tokens: int) -> tuple[Measure, ...]:
    """Of the load `forms`: 0 free text, 1 a string in JSON, 2 an order in JSON."""

    def rate(stream: Stream) -> float:
        """Tokens per second in all: the first piece of an answer may be several tokens."""
        return stream.output_tokens / (stream.end - stream.start)

    return (
        _measure("json", "JSON", Unit.TOKENS_PER_SECOND, lambda run: rate(run[2])),
        _measure("free", "free text", Unit.TOKENS_PER_SECOND, lambda run: rate(run[0])),
        _measure(
            "json_ratio", "JSON / free text", Unit.RATIO, lambda run: rate(run[2]) / rate(run[0])
        ),
        _measure(
            "string_ratio",
            "a long string in JSON / free text",
            Unit.RATIO,
            lambda run: rate(run[1]) / rate(run[0]),
        ),
        _measure(
            "ended",
            "JSON that came to its end",
            Unit.SHARE,
            lambda run: float(run[2].output_tokens < output_tokens),
        ),
    )


def is_warm(turn: Stream, before: Stream) -> bool:
    """Whether a turn did not read again what its conversation had before."""
    if turn.cached_tokens is None:
        return turn.ttft <= WARM_TIME * before.ttft
    return turn.cached_tokens >= WARM_SHARE * before.prompt_tokens


def _cached(stream: Stream) -> float:
    return math.nan if stream.cached_tokens is None else stream.cached_tokens


def _percentile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of all does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan
