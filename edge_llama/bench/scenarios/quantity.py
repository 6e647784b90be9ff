"""Quantity: what is measured, in which unit, and the figure that a target got for it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from statistics import median


class Unit(enum.Enum):
    """What a number counts; the values are those of the JSON."""

    TOKENS_PER_SECOND = "tokens/s"
    SECONDS = "s"
    RATIO = "ratio"
    SHARE = "share"
    BYTES = "bytes"
    TOKENS = "tokens"

    def format(self, value: float) -> str:
        """A number of this unit for people."""
        if self is Unit.SECONDS:
            return f"{value:.2f} s" if value >= 10 else f"{1000 * value:,.4g} ms"
        if self is Unit.BYTES:
            return f"{value / 1e6:,.0f} MB"
        if self is Unit.SHARE:
            return f"{100 * value:.3g}%"
        if self is Unit.RATIO:
            return f"{value:.2f} x"
        return f"{value:,.0f}" if self is Unit.TOKENS else f"{value:,.2f}"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One row of the table.

    Attributes:
        key: its name in JSON, which does not change.
        title: its name for people.
        unit: of all its numbers.
    """

    key: str
    title: str
    unit: Unit


@dataclass(frozen=True, slots=True)
class Figure:
    """What one target got for one quantity, one number for each run."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.runs)

    @property
    def spread(self) -> float:
        """Half of what lies between the lowest and the highest run, as a share of the median."""
        return (max(self.runs) - min(self.runs)) / 2 / abs(self.median) if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should reach.

    Attributes:
        bound: the number.
        at_least: it is the least that is good, else the most.
        of_first: it is a multiple of the first target's figure.
    """

    bound: float
    at_least: bool = False
    of_first: bool = False

    def text(self, unit: Unit, first: str) -> str:
        """For people.

        Args:
            first: the name of the first target.
        """
        sign = ">=" if self.at_least else "<="
        bound = f"{self.bound:g} x {first}" if self.of_first else unit.format(self.bound)
        return f"{sign} {bound}"

    def met(self, value: float, first: float) -> bool:
        """Whether a figure reaches it.

        Args:
            value: the figure.
            first: the first target's.
        """
        bound = self.bound * first if self.of_first else self.bound
        return value >= bound if self.at_least else value <= bound
