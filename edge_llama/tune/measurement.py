"""Measurement: the step times of one candidate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, NamedTuple, TypeAlias

from edge_llama.settings.engine import StepCost

Kind: TypeAlias = Literal["decode", "prefill", "together", "beside"]


class Step(NamedTuple):
    """A kind of step.

    Attributes:
        sequences: requests in it.
        size: tokens in it; as many as requests where these generate. What is more belongs to the
            last of them, which reads its prompt.
        depth: tokens in the KV cache before it.
    """

    sequences: int
    size: int
    depth: int

    @property
    def kind(self) -> Kind:
        if self.sequences > 1:
            return "together" if self.size == self.sequences else "beside"
        return "decode" if self.size == 1 else "prefill"

    @property
    def n_told(self) -> int:
        """Tokens of it that a figure counts: of a prompt beside others only its own."""
        return self.size - self.sequences + 1 if self.kind == "beside" else self.size


ONE_TOKEN = Step(1, 1, 0)


class Rate(NamedTuple):
    """What is told in tokens a second.

    Attributes:
        kind: one request that generates, a prompt that is read, several requests that generate, or
            a prompt that is read beside such.
        depth: tokens of context.
    """

    kind: Kind
    depth: int


@dataclass(frozen=True, slots=True)
class StepTimes:
    """How long one kind of step took.

    Attributes:
        seconds: each time that it was measured.
    """

    step: Step
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)


@dataclass(frozen=True, slots=True)
class Scale:
    """How a model's steps follow from those of its first layers.

    Every layer costs the same, and the output matrix is read once in a step:

        seconds(model) = once + layers · (seconds(sample) - once)
        once = output · seconds of a step of one token without context, in the sample

    Attributes:
        layers: the model's layers over those that are measured.
        output: the output matrix's share of the bytes that a token reads in the sample.
    """

    layers: float = 1.0
    output: float = 0.0


WHOLE = Scale()
"""Of a model that is measured with all of its layers."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured of one candidate.

    Attributes:
        load: seconds that loading took.
        times: of each kind of step.
    """

    load: float
    times: tuple[StepTimes, ...]

    def figures(self) -> dict[Rate, float]:
        """Tokens a second. Of prompts the longest that was read tells."""
        found: dict[Rate, float] = {}
        for times in sorted(self.times, key=lambda times: times.step):
            step = times.step
            found[Rate(step.kind, step.depth)] = step.n_told / times.median
        return found

    def scaled(self, scale: Scale) -> Measurement:
        """What the whole model takes, if this is of its first layers."""
        token = next((times.median for times in self.times if times.step == ONE_TOKEN), 0.0)
        once = scale.output * token
        times = (
            replace(
                each,
                seconds=tuple(
                    max(seconds, once + scale.layers * (seconds - once)) for seconds in each.seconds
                ),
            )
            for each in self.times
        )
        return Measurement(self.load, tuple(times))

    def costs(self) -> tuple[StepCost, ...]:
        """For the engine's cost table."""
        return tuple(
            StepCost(times.step.size, times.step.depth + times.step.size, times.median)
            for times in self.times
        )
