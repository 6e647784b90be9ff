"""Planned: how a model is going to run, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edge_llama.errors import ModelFileError
from edge_llama.planning.named import NamedModel
from edge_llama.planning.obtain import Obtained
from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.planning.tuned.choice import TunedChoice
from edge_llama.planning.tuned.key import TuneKey
from edge_llama.planning.tuned.store import default_tune_store
from edge_llama.settings.engine import EngineSettings
from edge_llama.weights.gguf.check import check_model
from edge_llama.weights.gguf.model import read_model
from edge_llama.weights.memory.fit import plan_memory
from edge_llama.weights.memory.memory_plan import MemoryPlan
from edge_llama.weights.memory.model_shape import ModelShape


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a model of a known shape runs within a budget of memory.

    Attributes:
        settings: for its engine.
        memory: what it takes.
        tuned: what `edge-llama tune` found, as far as there is memory for it; None if it did not
            run for this model on this machine.
    """

    settings: EngineSettings
    memory: MemoryPlan
    tuned: TunedChoice | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """How a model is going to run.

    Attributes:
        name: what it is called.
        settings: for its engine; `settings.model` is its file.
        budget: bytes that it may take.
        memory: what it takes of them; None for a file whose header does not tell its dimensions.
        tuned: what `edge-llama tune` found, as far as there is memory for it; None if it did not
            run for this model on this machine.
    """

    name: NamedModel
    settings: EngineSettings
    budget: int
    memory: MemoryPlan | None
    tuned: TunedChoice | None = None

    @property
    def file(self) -> Path:
        """The GGUF, or the first of its parts."""
        return Path(self.settings.model)

    @property
    def why(self) -> tuple[str, ...]:
        """Lines for people: the memory that it takes of the budget, and what was tuned."""
        lines = [] if self.memory is None else [self.memory.describe(self.budget)]
        return tuple(lines if self.tuned is None else [*lines, str(self.tuned)])


def plan_model(
    model: Obtained, settings: EngineSettings, budget: int, *, use_tuned: bool = True
) -> Planned:
    """Fill in what was tuned and what depends on memory: context, KV cache, micro-batch.

    Args:
        settings: everything that is given; what is None is chosen.
        budget: bytes that the model may take.
        use_tuned: take what `edge-llama tune` found for what `settings` leaves open.

    Raises:
        DoesNotFit: it needs more memory; the text says what would fit.
        ModelFileError: the file is damaged, or llama.cpp would end the process over it.
    """
    settings = replace(settings, model=str(model.path))
    file = read_model(model.path)
    check_model(file)
    try:
        shape = ModelShape.of_model(file)
    except ModelFileError:
        # A kind of model that is not a plain transformer; llama.cpp may run it all the same.
        return Planned(model.name, settings, budget, None)
    fitted = plan_shape(shape, settings, budget, use_tuned=use_tuned)
    return Planned(model.name, fitted.settings, budget, fitted.memory, fitted.tuned)


def plan_shape(
    shape: ModelShape, settings: EngineSettings, budget: int, *, use_tuned: bool = True
) -> Fitted:
    """As `plan_model`, for a model of which only the shape is known.

    Raises:
        DoesNotFit: it needs more memory; the text says what would fit.
    """
    tuned = default_tune_store().find(TuneKey.of(shape)) if use_tuned else None
    if tuned is None:
        memory = plan_memory(shape, budget, settings)
        return Fitted(memory.settings, memory)
    applied = tuned.apply(settings)
    # Where memory is short, q8_0 is better than what was tuned, or nothing.
    kv_type = settings.kv_type or ("q8_0" if applied.kv_type == "q8_0" else None)
    memory = plan_memory(
        shape,
        budget,
        replace(applied, kv_type=kv_type, kv_layout=settings.kv_layout),
        prefer_streams=applied.kv_layout == "streams",
    )
    tuned = replace(tuned, candidate=Candidate.of(memory.settings))
    return Fitted(memory.settings, memory, tuned)
