"""What is measured: loads, and the one figure each of them gives."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_llama.config import EngineSettings
from edge_llama.engine.sampling import SamplingParams

CONTEXT_RESERVE = 128
"""Tokens that a chat template may add to a prompt."""

MIN_CTX_SIZE = 1024

SAMPLING = SamplingParams(ignore_eos=True)
"""Llama 3.1's own sampling, for all targets alike, but never an end before all tokens are out."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One client's request.

    Attributes:
        prompt_tokens: tokens of its prompt.
        cached_tokens: how many of them came from a prefix cache.
        output_tokens: tokens that it got.
        first: seconds from the start of the load to its first token.
        last: seconds from the start of the load to its last token.
    """

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    first: float
    last: float


class Metric(enum.Enum):
    """The figure that a load is for, in tokens per second.

    DECODE leaves the prompt's time out. PREFILL counts the prompt's tokens that were not cached.
    THROUGHPUT is all clients' output over the whole time.
    """

    DECODE = "decode"
    PREFILL = "prefill"
    THROUGHPUT = "throughput"

    def rate(self, streams: Sequence[Stream]) -> float:
        """Tokens per second."""
        if self is Metric.DECODE:
            return sum(_rate(s.output_tokens - 1, s.last - s.first) for s in streams)
        if self is Metric.PREFILL:
            return sum(_rate(s.prompt_tokens - s.cached_tokens, s.first) for s in streams)
        return _rate(sum(s.output_tokens for s in streams), max(s.last for s in streams))


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load: so many clients at once, each with a prompt of its own.

    Attributes:
        title: how the table names it.
        metric: the figure it is for.
        clients: requests that start together.
        prompt_tokens: tokens of each prompt, about.
        output_tokens: tokens that each gets.
    """

    title: str
    metric: Metric
    clients: int
    prompt_tokens: int
    output_tokens: int

    @property
    def cells(self) -> int:
        """Tokens of context that it needs in all."""
        return self.clients * (self.prompt_tokens + self.output_tokens + CONTEXT_RESERVE)


SCENARIOS = {
    "decode": Scenario("decode, 1 stream", Metric.DECODE, 1, 16, 64),
    "decode-4": Scenario("decode, 4 streams", Metric.THROUGHPUT, 4, 16, 32),
    "prefill-512": Scenario("prefill, 512 tokens", Metric.PREFILL, 1, 512, 1),
    "prefill-1000": Scenario("prefill, 1,000 tokens", Metric.PREFILL, 1, 1000, 1),
    "throughput-4": Scenario("4 clients, 235 + 32 tokens", Metric.THROUGHPUT, 4, 235, 32),
}

WARM_UP = Scenario("warm-up", Metric.DECODE, 1, 16, 4)


def engine_settings(
    model: str, scenarios: Sequence[Scenario], threads: int | None = None
) -> EngineSettings:
    """The settings that all targets run with: room for the largest load, and no prefix cache.

    What a prefix cache keeps costs attention in every step; the raw loop keeps nothing.
    """
    return EngineSettings(
        model=model,
        ctx_size=max(MIN_CTX_SIZE, *(scenario.cells for scenario in scenarios)),
        parallel=max(scenario.clients for scenario in scenarios),
        threads=threads,
        cached_sequences=0,
    )


def prompt_ids(scenario: Scenario, seed: int, ordinary: Sequence[int]) -> list[tuple[int, ...]]:
    """A random prompt for each client.

    Args:
        seed: another one gives other prompts.
        ordinary: the ids to choose from.
    """
    rng = np.random.default_rng(seed)
    shape = (scenario.clients, scenario.prompt_tokens)
    return [tuple(prompt) for prompt in rng.choice(ordinary, shape).tolist()]


def ordinary_ids(n_vocab: int, control: Sequence[int]) -> list[int]:
    """All ids that are no control tokens."""
    return sorted(set(range(n_vocab)).difference(control))
