"""`edge-llama tune`: find out what is fastest on this machine, and remember it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.options import AsJSON, Model
from edge_llama.cli.terminal.tables import Column, bar_mark, print_json, print_table
from edge_llama.errors import SettingsError, UnknownModel
from edge_llama.planning.budget import memory_budget
from edge_llama.weights.demo import DEMO

if TYPE_CHECKING:
    from edge_llama.planning.tuned.choice import TunedChoice
    from edge_llama.tune.profile import Profile
    from edge_llama.tune.sample import Subject
    from edge_llama.tune.tuner import Tuning
    from edge_llama.weights.memory.model_shape import ModelShape


class ProfileName(str, Enum):
    """What a model is used for."""

    CHAT = "chat"
    RAG = "rag"
    SERVER = "server"
    LOW_MEMORY = "low-memory"


Purpose = Annotated[
    ProfileName,
    typer.Option(
        "--profile",
        help="What it is for: chat of one person; rag, answers about long documents; server, "
        "several people at once; low-memory.",
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Draw the curves into this .png or .svg file.", show_default=False),
]


def tune(
    model: Model = DEMO,
    profile: Purpose = ProfileName.CHAT,
    plot: Plot = None,
    as_json: AsJSON = False,
) -> None:
    """Measure what is fastest here; serve and chat use it from then on.

    Takes about a minute, in which nothing else should run. Of a large model, and of one that is
    not on this machine, a few layers with random weights are measured.
    """
    from rich.console import Console

    from edge_llama.bench.report.picture import Picture
    from edge_llama.tune.profile import PROFILES

    picture = None if plot is None else Picture(plot)
    chosen = PROFILES[profile.value]
    budget = memory_budget(None)
    with (
        Console(stderr=True).status("looking at the model") as status,
        _subject(model, budget) as (subject, shape),
    ):
        tuning, busy = _tuning(
            subject, shape, chosen, budget, lambda line: status.update(f"measuring: {line}")
        )
    choice, saved = _remember(tuning, shape, chosen)
    if picture is not None:
        from edge_llama.tune.plot import draw_tuning

        draw_tuning(tuning, shape.title, picture)
    from edge_llama.tune import report

    if as_json:
        extra = {"layers": subject.layers, "busy": busy, "saved": str(saved)}
        print_json({**report.as_json(tuning, choice), **extra})
    else:
        _print(tuning, shape, subject.layers)
        for line in report.notes(tuning, chosen, busy):
            typer.echo(line)


def _tuning(
    subject: Subject,
    shape: ModelShape,
    profile: Profile,
    budget: int,
    progress: Callable[[str], None],
) -> tuple[Tuning, float]:
    """What was measured, and the share of the CPUs that others took meanwhile."""
    import asyncio

    from edge_llama.bench.machine.busy import busy_share
    from edge_llama.machine.cpus import read_cpus
    from edge_llama.machine.memory import read_memory
    from edge_llama.planning.planned import plan_shape
    from edge_llama.settings.engine import CHOOSE_ALL
    from edge_llama.tune.measurer import ChildMeasurer
    from edge_llama.tune.tuner import Tuner

    if shape.encoder:
        raise SettingsError(f"{shape.title} only embeds texts; nothing of it needs tuning.")
    busy = asyncio.run(busy_share())
    tuning = Tuner(
        ChildMeasurer(str(subject.path), subject.scale),
        profile,
        plan_shape(shape, CHOOSE_ALL, budget, use_tuned=False).memory,
        budget,
        read_cpus(),
        gpu=read_memory().gpu_limit is not None,
        progress=progress,
    ).run()
    return tuning, max(busy, asyncio.run(busy_share()))


def _remember(tuning: Tuning, shape: ModelShape, profile: Profile) -> tuple[TunedChoice, Path]:
    """Keep the choice for this machine; it, and its file."""
    from datetime import datetime, timezone

    from edge_llama.planning.tuned.choice import TunedChoice
    from edge_llama.planning.tuned.key import TuneKey
    from edge_llama.planning.tuned.store import default_tune_store

    choice = TunedChoice(
        candidate=tuning.chosen.candidate,
        profile=profile.name,
        score=tuning.chosen.score,
        step_costs=tuning.costs.costs(),
        tuned_at=datetime.now(timezone.utc),
    )
    return choice, default_tune_store().save(TuneKey.of(shape), choice)


@contextmanager
def _subject(name: str, budget: int) -> Iterator[tuple[Subject, ModelShape]]:
    """What to measure, and the shape of the model that it stands for."""
    from edge_llama.planning.choice import choose
    from edge_llama.planning.obtain import Obtained, find_here
    from edge_llama.planning.reference import CatalogReference
    from edge_llama.tune.sample import few_layers, is_sampled, subject_of
    from edge_llama.weights.catalog.catalog import load_catalog
    from edge_llama.weights.memory.model_shape import ModelShape

    found = find_here(name)
    if isinstance(found, Obtained):
        shape = ModelShape.of_file(found.path)
    elif isinstance(found, CatalogReference):
        shape = ModelShape.of_catalog(found.model, choose(found, load_catalog(), budget))
    else:
        raise UnknownModel(f"{name} is not on this machine. Get it first: edge-llama pull {name}")
    if isinstance(found, Obtained) and not is_sampled(shape):
        yield subject_of(found.path, shape), shape
    else:
        with few_layers(shape) as subject:
            yield subject, shape


def _print(tuning: Tuning, shape: ModelShape, layers: int) -> None:
    from edge_llama.tune import report

    what = shape.title
    if layers < shape.layers:
        what += f", {layers} of its {shape.layers} layers with random weights"
    typer.secho(f"{what}: tokens a second, by tokens of context", bold=True)
    first, *others = report.columns(tuning)
    print_table(
        [Column(first, fold=True), *(Column(title, right=True) for title in others)],
        report.rows(tuning),
    )
    typer.echo()
    print_table(
        [Column(""), Column("context", right=True), Column("decode"), Column("", right=True)],
        report.curves(tuning, bar_mark()),
    )
    typer.echo()
