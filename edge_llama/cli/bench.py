"""`edge-llama bench`: how fast this machine is, and what the engine and the server cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_llama.cli.options import Threads

if TYPE_CHECKING:
    from edge_llama.bench.scenarios import Scenario


def bench(
    shape: Annotated[
        str,
        typer.Option(
            "--shape",
            help="A model with random weights: 15m, llama-3.2-1b, llama-3.2-3b or llama-3.1-8b. "
            "It is written once, and is as fast and as large as the real one at Q4_K_M.",
        ),
    ] = "llama-3.2-1b",
    model: Annotated[
        str | None,
        typer.Option("--model", help="'demo' or the path of a .gguf file, instead of a shape."),
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", min=1, help="Runs of each load; the medians are shown.")
    ] = 3,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            help="Only this load; repeatable. One of decode, decode-4, prefill-512, "
            "prefill-1000, throughput-4. Default: all. Or memory alone: what a server takes "
            "with its context full, against the plan.",
            show_default=False,
        ),
    ] = None,
    threads: Threads = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Also measure a running server that speaks OpenAI's API."),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option("--cache-dir", help="Folder of the models with random weights."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and no table.")] = False,
) -> None:
    """Measure this machine: the raw llama.cpp loop, the engine and the server, side by side."""
    import asyncio

    from rich.console import Console

    from edge_llama.bench import machine, report
    from edge_llama.bench.comparison import compare
    from edge_llama.bench.engine import EngineTarget
    from edge_llama.bench.memory import MEMORY, measure_memory
    from edge_llama.bench.raw import RawTarget
    from edge_llama.bench.scenarios import engine_settings
    from edge_llama.bench.server import HTTPTarget, ServerTarget
    from edge_llama.bench.target import Target

    name = model or shape
    stderr = Console(stderr=True)
    if scenario == [MEMORY]:
        with stderr.status("writing the model") as status:
            path = _model_path(shape, model, cache_dir)
            figure = asyncio.run(measure_memory(path, threads, status.update))
        if as_json:
            Console().print_json(data={"model": name, "memory": figure.as_json()})
        else:
            Console().print(f"{name}, {figure}", soft_wrap=True, highlight=False)
        return
    scenarios = _scenarios(scenario)
    with stderr.status("writing the model") as status:
        path = _model_path(shape, model, cache_dir)
        settings = engine_settings(str(path), scenarios, threads)
        here = machine.this_machine(settings)
        targets: list[Target] = [
            RawTarget(settings),
            EngineTarget(settings),
            ServerTarget(settings),
        ]
        if url is not None:
            targets.append(HTTPTarget(url))
        comparison = asyncio.run(compare(targets, scenarios, runs, status.update))
    if as_json:
        Console().print_json(data=report.as_json(name, here, comparison))
    else:
        Console().print(report.as_table(name, here, comparison))


def _scenarios(names: list[str] | None) -> list[Scenario]:
    from edge_llama.bench.scenarios import SCENARIOS
    from edge_llama.errors import SettingsError

    for name in names or []:
        if name not in SCENARIOS:
            raise SettingsError(f"--scenario must be one of {', '.join(SCENARIOS)}, not {name!r}.")
    return [SCENARIOS[name] for name in names or SCENARIOS]


def _model_path(shape: str, model: str | None, cache_dir: Path | None) -> Path:
    from edge_llama.bench.synthetic import synthetic_model
    from edge_llama.weights import resolve_model

    return synthetic_model(shape, cache_dir) if model is None else resolve_model(model)
