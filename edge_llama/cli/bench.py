"""`edge-llama bench`: how fast this machine is, and what the engine and the server cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.option_group import OptionGroup, takes_groups
from edge_llama.cli.options import AsJSON, Threads
from edge_llama.errors import SettingsError
from edge_llama.settings.engine import CHOOSE_ALL

if TYPE_CHECKING:
    from edge_llama.bench.report.report import Report
    from edge_llama.bench.scenarios.comparison import Result
    from edge_llama.settings.engine import EngineSettings

RUNS, ESTIMATE_RUNS = 3, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions(OptionGroup):
    """What is measured."""

    PANEL = "Model"

    shape: Annotated[
        str,
        typer.Option(
            "--shape",
            help="A model with random weights: 15m, llama-3.2-1b, llama-3.2-3b or llama-3.1-8b. "
            "It is written once, and is as fast and as large as the real one.",
        ),
    ] = "llama-3.2-1b"
    quant: Annotated[
        str, typer.Option("--quant", help="How its weights are stored: Q4_K_M, Q8_0 or F16.")
    ] = "Q4_K_M"
    layers: Annotated[
        int | None,
        typer.Option(
            "--layers",
            help="Write and measure only so many layers of the shape, a multiple of 4, and "
            "estimate decode and prefill of all of them. With '--target raw', all are measured "
            "too, to see how good the estimate is.",
            show_default=False,
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option("--model", help="'demo' or the path of a .gguf file, instead of a shape."),
    ] = None
    cache_dir: Annotated[
        Path | None,
        typer.Option("--cache-dir", help="Folder of the models with random weights."),
    ] = None

    @property
    def name(self) -> str:
        """What it is called in the report."""
        return self.model or self.shape


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions(OptionGroup):
    """How it is measured."""

    PANEL = "Measurements"

    runs: Annotated[
        int | None,
        typer.Option(
            "--runs",
            min=1,
            help=f"Runs of each scenario; the medians are shown. Default: {RUNS}, or "
            f"{ESTIMATE_RUNS} with --layers.",
            show_default=False,
        ),
    ] = None
    scenario: Annotated[
        list[str],
        typer.Option(
            "--scenario",
            help="Only this; repeatable. solo (decode, prefill-512), prefill-1000, concurrent "
            "(concurrent-4, concurrent-8), stall, stall-335, prefix, churn, startup, restart, "
            "overhead, memory, defaults (deep, many). Default: decode, prefill-512, concurrent-4, "
            "stall, prefix, churn, startup.",
            show_default=False,
        ),
    ] = field(default_factory=list)
    target: Annotated[
        list[str],
        typer.Option(
            "--target",
            help="Only this; repeatable. raw (the bare llama.cpp loop), engine, server, defaults "
            "(that loop with llama.cpp's defaults, for deep and many), or url, which needs --url. "
            "Default: all; server and url where requests wait for each other (stall, prefix, "
            "churn).",
            show_default=False,
        ),
    ] = field(default_factory=list)
    threads: Threads = CHOOSE_ALL.threads
    tuned: Annotated[
        bool,
        typer.Option(
            "--tuned/--no-tuned",
            help="Run the model as `edge-llama tune` found best, where it did, as a server would.",
        ),
    ] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class URLOptions(OptionGroup):
    """A server that is measured too."""

    PANEL = "Another server"

    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="Also put the same load on a running server that speaks OpenAI's chat API.",
        ),
    ] = None
    url_model: Annotated[
        str | None,
        typer.Option(
            "--url-model",
            help="The model to ask that server for. Default: the first that it lists.",
            show_default=False,
        ),
    ] = None
    url_key: Annotated[
        str | None, typer.Option("--url-key", help="The key that this server wants, if any.")
    ] = None


@takes_groups
def bench(
    *,
    model: ModelOptions,
    measure: MeasureOptions,
    other: URLOptions,
    as_json: AsJSON = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the figures into a .png or .svg file too. Needs the extra 'plot'.",
        ),
    ] = None,
) -> None:
    """Measure this machine: bare llama.cpp, the engine and the server."""
    from rich.console import Console

    from edge_llama.bench.machine.machine import this_machine
    from edge_llama.bench.report.picture import Picture
    from edge_llama.bench.report.plot import draw_report
    from edge_llama.bench.report.report import Report

    picture = None if plot is None else Picture(plot)
    n_runs = measure.runs or (RUNS if model.layers is None else ESTIMATE_RUNS)
    with Console(stderr=True).status("starting") as status:
        if model.layers is not None:
            name, results = _estimate(model, measure, other, n_runs, status.update)
        else:
            name, results = _measure(model, measure, other, n_runs, status.update)
    report = Report(name, this_machine(measure.threads), n_runs, results)
    if picture is not None:
        draw_report(report, picture)
    _print(report, as_json=as_json)


def _estimate(
    model: ModelOptions,
    measure: MeasureOptions,
    other: URLOptions,
    n_runs: int,
    progress: Callable[[str], None],
) -> tuple[str, list[Result]]:
    """The name of a shape, and its speed by some of its layers."""
    import asyncio

    from edge_llama.bench.scenarios.estimate import estimate

    assert model.layers is not None
    others = {"--model": model.model, "--scenario": measure.scenario, "--url": other.url}
    _check_estimate(measure.target, others)
    result = estimate(
        model.shape,
        model.quant,
        model.layers,
        n_runs,
        progress,
        threads=measure.threads,
        cache_dir=model.cache_dir,
        check=bool(measure.target),
    )
    return model.shape, [asyncio.run(result)]


def _measure(
    model: ModelOptions,
    measure: MeasureOptions,
    other: URLOptions,
    n_runs: int,
    progress: Callable[[str], None],
) -> tuple[str, list[Result]]:
    """The name of what was measured, and what came out."""
    import asyncio

    from edge_llama.bench.scenarios.scenarios import chosen_names
    from edge_llama.bench.scenarios.suite import Suite
    from edge_llama.bench.targets.url import URLTarget

    names = chosen_names(measure.scenario)
    _check_targets(measure.target, other.url)
    server = None if other.url is None else URLTarget(other.url, other.url_model, other.url_key)
    path = None
    if set(measure.target) != {"url"}:
        progress("writing the model")
        path = _model_path(model)
    suite = Suite(
        names,
        measure.target or None,
        n_runs,
        path,
        measure.threads,
        server,
        measure.tuned,
        partial(_planned, measure.tuned),
    )
    results = asyncio.run(suite.run(progress))
    return server.model if server is not None and path is None else model.name, results


def _planned(tuned: bool, settings: EngineSettings) -> EngineSettings:
    """The settings that a server would run with."""
    from edge_llama.planning.plan import plan

    return plan(settings.model, settings=settings, use_tuned=tuned).settings


def _check_estimate(targets: Sequence[str], others: Mapping[str, object]) -> None:
    given = [option for option, value in others.items() if value]
    if given:
        raise SettingsError(f"--layers estimates a --shape; it does not go with {given[0]}.")
    if set(targets) - {"raw"}:
        raise SettingsError("--layers measures the bare loop only: --target raw, or none.")


def _check_targets(names: Sequence[str], url: str | None) -> None:
    from edge_llama.bench.targets.target import TARGETS, URL

    for name in names:
        if name not in TARGETS:
            raise SettingsError(f"--target must be one of {', '.join(TARGETS)}, not {name!r}.")
    if url is None and URL in names:
        raise SettingsError("--target url needs the address of a server: --url.")


def _model_path(model: ModelOptions) -> Path:
    from edge_llama.bench.synthetic.synthetic import synthetic_model
    from edge_llama.planning.locate import resolve_model

    if model.model is not None:
        return resolve_model(model.model)
    return synthetic_model(model.shape, model.cache_dir, quantization=model.quant)


def _print(report: Report, *, as_json: bool) -> None:
    from edge_llama.cli.terminal.tables import Column, bar_mark, print_json, print_table

    if as_json:
        print_json(report.as_json())
        return
    figures = [Column(name, right=True) for name in report.targets]
    print_table([Column(report.model, fold=True), *figures, Column("goal")], list(report.rows()))
    if bars := list(report.bars(bar_mark())):
        print_table([Column(""), Column(""), Column(""), Column("", right=True)], bars)
        typer.echo()
    for note in report.notes():
        typer.echo(note)
