"""How a model would do on this machine: whether it fits, and how fast it may be."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from edge_llama.errors import DoesNotFit
from edge_llama.planning.planned import plan_shape
from edge_llama.planning.speed import Speed, Speedometer
from edge_llama.settings.engine import CHOOSE_ALL
from edge_llama.weights.catalog.catalog import CatalogModel
from edge_llama.weights.catalog.variant import Variant
from edge_llama.weights.memory.memory_plan import MemoryPlan, MemorySummary
from edge_llama.weights.memory.model_shape import ModelShape


@dataclass(frozen=True, slots=True)
class Fit:
    """A model within a budget of memory.

    Attributes:
        plan: how it would run; None if it does not fit.
        summary: the plan in one line, or why it does not fit.
        speed: an estimate; None if it does not fit, or where there is no sound one.
    """

    plan: MemoryPlan | None
    summary: str
    speed: Speed | None

    @classmethod
    def of(cls, shape: ModelShape, budget: int, speedometer: Speedometer) -> Fit:
        """The fit of `shape` into `budget` bytes, run as tuned if it was."""
        try:
            plan = plan_shape(shape, CHOOSE_ALL, budget).memory
        except DoesNotFit as error:
            return cls(None, str(error), None)
        # It tells how fast tokens follow each other.
        speed = None if shape.encoder else speedometer.speed(shape.weight_bytes)
        return cls(plan, plan.describe(budget), speed)

    @classmethod
    def of_variant(
        cls, model: CatalogModel, variant: Variant, budget: int, speedometer: Speedometer
    ) -> Fit | None:
        """The fit of a variant that is not here; None if the catalog does not tell enough."""
        if model.architecture is None or variant.expected_size is None:
            return None
        return cls.of(ModelShape.of_catalog(model, variant), budget, speedometer)

    @property
    def word(self) -> str:
        """For a table."""
        return "fits" if self.plan else "too large"

    def as_json(self) -> dict[str, Any]:
        """For programs; sizes in bytes."""
        names = [each.name for each in fields(MemorySummary)]
        return {
            "fits": self.plan is not None,
            "refusal": None if self.plan else self.summary,
            **(asdict(self.plan.summary()) if self.plan else dict.fromkeys(names)),
            "speed_class": self.speed and self.speed.speed_class,
            "tokens_per_second_estimate": self.speed and self.speed.tokens_per_second,
        }
