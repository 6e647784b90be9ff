"""TunedChoice: what tuning found for one model on one machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.settings.engine import EngineSettings, StepCost


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedChoice:
    """How a model runs from now on.

    Attributes:
        candidate: the settings.
        profile: what they were chosen for.
        score: by that profile, against the default.
        step_costs: what steps took with them.
        tuned_at: when, with a time zone.
    """

    candidate: Candidate
    profile: str
    score: float
    step_costs: tuple[StepCost, ...]
    tuned_at: datetime

    def apply(self, settings: EngineSettings) -> EngineSettings:
        """The settings with those that were chosen, but for what they say themselves."""
        return replace(self.candidate.apply(settings), step_costs=self.step_costs)

    def __str__(self) -> str:
        return f"Tuned for this machine (profile {self.profile}): {self.candidate}"
