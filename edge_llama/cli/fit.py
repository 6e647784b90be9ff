"""How a model would do on this machine: whether it fits, and how fast it may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_llama.cli.speed import Speed, Speedometer
from edge_llama.errors import DoesNotFit

if TYPE_CHECKING:
    from edge_llama.weights.catalog import CatalogModel
    from edge_llama.weights.memory_plan import MemoryPlan
    from edge_llama.weights.model_shape import ModelShape
    from edge_llama.weights.variant import Variant


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
        from edge_llama.cli.obtain import plan_shape
        from edge_llama.config import EngineSettings

        try:
            plan = plan_shape(shape, EngineSettings(model=""), budget).plan
        except DoesNotFit as error:
            return cls(None, str(error), None)
        assert plan is not None
        # It tells how fast tokens follow each other.
        speed = None if shape.encoder else speedometer.speed(shape.weight_bytes)
        return cls(plan, plan.describe(budget), speed)

    @classmethod
    def of_variant(
        cls, model: CatalogModel, variant: Variant, budget: int, speedometer: Speedometer
    ) -> Fit | None:
        """The fit of a variant that is not here; None if the catalog does not tell enough."""
        from edge_llama.weights.model_shape import ModelShape

        if model.architecture is None or variant.expected_size is None:
            return None
        return cls.of(ModelShape.of_catalog(model, variant), budget, speedometer)

    @property
    def word(self) -> str:
        """For a table."""
        return "fits" if self.plan else "too large"

    def as_json(self) -> dict[str, Any]:
        """For programs; sizes in bytes."""
        plan = self.plan
        return {
            "fits": plan is not None,
            "refusal": None if plan else self.summary,
            "memory": plan and plan.total,
            "weights": plan and plan.weights,
            "kv_cache": plan and plan.kv_cache,
            "compute": plan and plan.compute,
            "process": plan and plan.process,
            "ctx_size": plan and plan.ctx_size,
            "kv_type": plan and plan.kv_type,
            "kv_layout": plan and plan.kv_layout,
            "speed_class": self.speed and self.speed.speed_class,
            "tokens_per_second_estimate": self.speed and self.speed.tokens_per_second,
        }
