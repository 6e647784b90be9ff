"""From what a user calls a model to one that can be loaded: found or downloaded, and planned."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_llama.cli.aliases import NamedModel
from edge_llama.errors import ModelFileError
from edge_llama.weights import DEMO, model_id, resolve_model

if TYPE_CHECKING:
    from edge_llama.cli.progress import Display
    from edge_llama.config import EngineSettings
    from edge_llama.tune.choice import TunedChoice
    from edge_llama.weights.memory_plan import MemoryPlan
    from edge_llama.weights.model_shape import ModelShape
    from edge_llama.weights.record import InstalledModel


@dataclass(frozen=True, slots=True)
class Obtained:
    """A model whose files are on this machine. Two are equal when they are the same file.

    Attributes:
        path: its first file.
        name: what it is called.
    """

    path: Path
    name: NamedModel = field(compare=False)

    def also(self, other: Obtained) -> Obtained:
        """This one, under the names of another for the same file too."""
        known_as = (*self.name.known_as, other.name.id, *other.name.known_as)
        return replace(self, name=replace(self.name, known_as=known_as))


def obtain(name: str, display: Display, *, budget: int, allow_url: bool = False) -> Obtained:
    """The model that `name` means; one of the catalog or the hub is downloaded if need be.

    What is on this machine already is found without a connection.

    Args:
        display: shows the download.
        budget: bytes that it may take, which a quantization is chosen by.
        allow_url: whether files may come from other servers than the hub.

    Raises:
        EdgeLlamaError: it cannot be had; the text says why and what to do.
    """
    from edge_llama.cli.pull import install
    from edge_llama.weights.catalog import load_catalog
    from edge_llama.weights.reference import (
        DemoReference,
        FileReference,
        UrlReference,
        parse_reference,
    )
    from edge_llama.weights.store import default_store

    store = default_store()
    if name != DEMO and (installed := store.find(name)) is not None and installed.is_complete:
        return from_store(name, installed)
    reference = parse_reference(name, load_catalog(), allow_url=allow_url)
    if isinstance(reference, DemoReference | FileReference):
        path = str(reference)
        return Obtained(resolve_model(path), NamedModel(name, model_id(path)))
    found = install(reference, store, display, budget=budget)
    # An address may hold a secret, and what a model was asked for by is one of its names.
    return from_store(found.id if isinstance(reference, UrlReference) else name, found)


def from_store(name: str, model: InstalledModel) -> Obtained:
    """An installed model that is called `name`."""
    from edge_llama.weights.catalog import load_catalog

    known = load_catalog().find(model.catalog_id or "")
    known_as = (name, *(known.names if known else ()))
    return Obtained(model.path, NamedModel(name, model.id, known_as))


@dataclass(frozen=True, slots=True)
class Planned:
    """How a model is going to run.

    Attributes:
        settings: for its engine.
        plan: the memory that it takes; None for a file whose header does not tell its dimensions.
        tuned: what `edge-llama tune` found, as far as there is memory for it; None if it did not
            run for this model on this machine.
    """

    settings: EngineSettings
    plan: MemoryPlan | None
    tuned: TunedChoice | None = None

    def notes(self, budget: int) -> list[str]:
        """The lines that tell a user how it runs within `budget` bytes."""
        lines = [] if self.plan is None else [self.plan.describe(budget)]
        return lines if self.tuned is None else [*lines, str(self.tuned)]


def plan(
    settings: EngineSettings, budget: int, *, ctx_size: int | None, use_tuned: bool = True
) -> Planned:
    """Fill in what was tuned and what depends on memory: context, KV cache, micro-batch.

    Args:
        settings: everything else.
        budget: bytes that the model may take.
        ctx_size: tokens of context; None chooses.
        use_tuned: take what `edge-llama tune` found for what `settings` leaves open.

    Raises:
        DoesNotFit: it needs more memory; the text says what would fit.
        ModelFileError: the file is damaged, or llama.cpp would end the process over it.
    """
    from edge_llama.weights.gguf_check import check_model
    from edge_llama.weights.gguf_model import read_model
    from edge_llama.weights.model_shape import ModelShape

    model = read_model(Path(settings.model))
    check_model(model)
    try:
        shape = ModelShape.of_model(model)
    except ModelFileError:
        # A kind of model that is not a plain transformer; llama.cpp may run it all the same.
        return Planned(replace(settings, ctx_size=ctx_size), None)
    return plan_shape(shape, settings, budget, ctx_size=ctx_size, use_tuned=use_tuned)


def plan_shape(
    shape: ModelShape,
    settings: EngineSettings,
    budget: int,
    *,
    ctx_size: int | None = None,
    use_tuned: bool = True,
) -> Planned:
    """As `plan`, for a model of which the shape is known.

    Raises:
        DoesNotFit: it needs more memory; the text says what would fit.
    """
    from edge_llama.tune.candidate import Candidate
    from edge_llama.tune.key import TuneKey
    from edge_llama.tune.store import default_tune_store
    from edge_llama.weights.fit import plan_memory

    tuned = default_tune_store().find(TuneKey.of(shape)) if use_tuned else None
    kv_type, kv_layout = settings.kv_type, settings.kv_layout
    if tuned is not None:
        settings = tuned.apply(settings)
        # Where memory is short, q8_0 is better than what was tuned, or nothing.
        kv_type = kv_type or ("q8_0" if settings.kv_type == "q8_0" else None)
    chosen = plan_memory(
        shape,
        budget,
        ctx_size=ctx_size,
        parallel=settings.parallel,
        batch_size=settings.batch_size,
        cached_sequences=settings.cached_sequences,
        kv_type=kv_type,
        kv_layout=kv_layout,
        micro_batch=settings.micro_batch,
        prefer_flash_attention=bool(settings.flash_attention),
        prefer_streams=settings.kv_layout == "streams",
        repack=settings.repack,
    )
    planned = replace(
        settings,
        ctx_size=chosen.ctx_size,
        kv_type=chosen.kv_type,
        kv_layout=chosen.kv_layout,
        micro_batch=chosen.micro_batch,
        scored_tokens=chosen.scored_tokens,
        flash_attention=chosen.flash_attention or settings.flash_attention,
        repack=chosen.repack,
        memory_limit=chosen.address_space,
    )
    if tuned is not None:
        tuned = replace(tuned, candidate=Candidate.of(planned))
    return Planned(planned, chosen, tuned)
