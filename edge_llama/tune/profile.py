"""Profile: what a machine is used for, and so what counts how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edge_llama.tune.measurement import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Weights of what is measured; they add up to 1.

    Attributes:
        name: what `edge-llama tune` calls it.
        use: what it is for, in a few words.
        decode: one request that generates, at the start of the context, at 1,024 and at 3,000
            tokens.
        prefill: reading a prompt at the start of the context, and at 3,000 tokens.
        together: several requests that generate, each with 768 tokens of context.
        beside: reading a prompt in small steps, beside such.
        memory: bytes that the model takes with all its context; less is better.
    """

    name: str
    use: str
    decode: tuple[float, float, float]
    prefill: tuple[float, float]
    together: float
    beside: float
    memory: float

    def score(self, ratios: Mapping[Rate, float], memory: float) -> float:
        """How much better something is than the default: 1 is as good, 2 is twice as good.

        It is the weighted geometric mean, so that half the speed at one thing takes twice the
        speed at another of the same weight to make up for it. What was not measured has no weight.

        Args:
            ratios: tokens a second over those of the default.
            memory: bytes over those of the default.
        """
        weighted = [(self._weight(rate, ratios), ratio) for rate, ratio in ratios.items()]
        weighted.append((self.memory, 1 / memory))
        total = sum(weight for weight, _ in weighted)
        logs = sum(weight * math.log(ratio) for weight, ratio in weighted)
        return math.exp(logs / total) if total else 1.0

    def _weight(self, rate: Rate, measured: Mapping[Rate, float]) -> float:
        if rate.kind == "together":
            return self.together
        if rate.kind == "beside":
            return self.beside
        weights = self.decode if rate.kind == "decode" else self.prefill
        depths = sorted(each.depth for each in measured if each.kind == rate.kind)
        return weights[min(depths.index(rate.depth), len(weights) - 1)]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="chat",
            use="one person who talks, with a growing conversation",
            decode=(0.15, 0.35, 0.2),
            prefill=(0.15, 0.05),
            together=0.0,
            beside=0.0,
            memory=0.1,
        ),
        Profile(
            name="rag",
            use="short answers about long documents",
            decode=(0.0, 0.1, 0.25),
            prefill=(0.25, 0.3),
            together=0.0,
            beside=0.0,
            memory=0.1,
        ),
        Profile(
            name="server",
            use="several people at once",
            decode=(0.05, 0.1, 0.05),
            prefill=(0.1, 0.05),
            together=0.3,
            beside=0.25,
            memory=0.1,
        ),
        Profile(
            name="low-memory",
            use="as little memory as can be",
            decode=(0.05, 0.1, 0.05),
            prefill=(0.1, 0.1),
            together=0.0,
            beside=0.0,
            memory=0.6,
        ),
    )
}
