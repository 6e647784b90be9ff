"""`edge-llama doctor`: what this machine has, what edge_llama makes of it, and what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from edge_llama.cli.options import AsJSON
from edge_llama.cli.terminal.exit_codes import ExitCode
from edge_llama.cli.terminal.tables import Column, print_facts, print_json, print_table
from edge_llama.units import format_size

if TYPE_CHECKING:
    from edge_llama.cli.doctor.diagnosis import Diagnosis, Folder, ModelPlan
    from edge_llama.cli.doctor.problems import Problem


def doctor(as_json: AsJSON = False) -> None:
    """Show what this machine has, how models run on it, what is wrong.

    Uses no network. The exit code is 1 if something keeps every model from running.
    """
    import dataclasses

    from edge_llama.cli.doctor.diagnosis import diagnose
    from edge_llama.cli.doctor.problems import find_problems

    diagnosis = diagnose()
    problems = find_problems(diagnosis)
    if as_json:
        found = [dataclasses.asdict(problem) for problem in problems]
        print_json({**dataclasses.asdict(diagnosis), "problems": found})
    else:
        print_report(diagnosis, problems)
    if any(problem.stops for problem in problems):
        raise typer.Exit(ExitCode.ERROR)


def print_report(diagnosis: Diagnosis, problems: list[Problem]) -> None:
    """Print a diagnosis for people: the machine, the models, the problems."""
    print_facts(_facts(diagnosis))
    if diagnosis.models:
        sys.stdout.write("\n")
        _print_models(diagnosis.models)
    sys.stdout.write("\n")
    _print_problems(problems)


def _print_models(models: Sequence[ModelPlan]) -> None:
    columns = [
        Column("model", fold=True),
        Column("size", right=True),
        Column("memory", right=True),
        Column("context", right=True),
        Column("KV cache"),
        Column("speed"),
    ]
    print_table(columns, [_model_row(model) for model in models])


def _print_problems(problems: Sequence[Problem]) -> None:
    if not problems:
        sys.stdout.write("No problems found.\n")
        return
    # Not in the grid: it would break the commands, which are there to be copied.
    print_facts(
        (
            "Problem" if problem.stops else "Note",
            "\n".join([problem.what, problem.remedy, *problem.commands]),
        )
        for problem in problems
    )


def _facts(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    versions, threads = diagnosis.versions, diagnosis.threads
    yield (
        "versions",
        f"edge-llama {versions.edge_llama}, llama-cpp-python {versions.llama_cpp_python}, "
        f"Python {versions.python}, {versions.system}",
    )
    yield "CPU", f"{diagnosis.cpu}\n{_cores(diagnosis)}"
    yield (
        "threads",
        f"{threads.decode} to generate, {threads.prefill} to read prompts: {threads.reason}",
    )
    yield "llama.cpp", "\n".join(_llama_cpp_lines(diagnosis))
    yield "memory", "\n".join(_memory_lines(diagnosis))
    yield "folders", "\n".join(map(_folder_line, diagnosis.folders))
    yield "hub", _hub(diagnosis)
    if not diagnosis.models:
        yield "models", "none are installed; `edge-llama list --all` shows what would fit"


def _cores(diagnosis: Diagnosis) -> str:
    cpus = diagnosis.cpus
    noun = "core" if cpus.physical == 1 else "cores"
    cores = f"{cpus.allowed} of {cpus.logical} CPUs may be used, with {cpus.physical} {noun}"
    if cpus.performance < cpus.physical:
        cores += f", {cpus.performance} of them performance cores"
    return cores if cpus.quota is None else f"{cores}; quota: {cpus.quota:g} CPUs"


def _llama_cpp_lines(diagnosis: Diagnosis) -> Iterator[str]:
    llama_cpp = diagnosis.llama_cpp
    if llama_cpp.instructions is None:
        yield "cannot be loaded"
        return
    yield f"runs on the {llama_cpp.backend}" if llama_cpp.backend != "Metal" else "runs on Metal"
    for does, names in (
        ("uses", llama_cpp.instructions.used),
        ("needs and does not find", llama_cpp.instructions.missing),
        ("was built without", llama_cpp.instructions.unused),
    ):
        if names:
            yield f"{does} {', '.join(names)}"


def _memory_lines(diagnosis: Diagnosis) -> Iterator[str]:
    memory = diagnosis.memory
    parts = [f"{format_size(memory.total)} in all", f"{format_size(memory.available)} available"]
    if memory.limit is not None:
        parts.append(f"limited to {format_size(memory.limit)}")
    if memory.gpu_limit is not None:
        parts.append(f"{format_size(memory.gpu_limit)} for Metal")
    if diagnosis.swap_used:
        parts.append(f"{format_size(diagnosis.swap_used)} swapped out")
    yield ", ".join(parts)
    yield f"a model may take {format_size(diagnosis.budget)}, unless --memory says otherwise"
    yield f"about {format_size(diagnosis.bandwidth)} of weights are read in a second"


def _folder_line(folder: Folder) -> str:
    free = "" if folder.free is None else f", {format_size(folder.free)} free"
    state = free if folder.writable else ", cannot be written to"
    return f"{folder.purpose}: {folder.path}{state}"


def _hub(diagnosis: Diagnosis) -> str:
    environment = diagnosis.environment
    host = "huggingface.co"
    if environment.hub_endpoint is not None:
        host = f"{environment.hub_endpoint} (HF_ENDPOINT)"
    token = "with a token (HF_TOKEN)" if environment.hub_token else "no token (HF_TOKEN)"
    offline = ", not asked (HF_HUB_OFFLINE)" if environment.hub_offline else ""
    return f"{host}, {token}{offline}"


def _model_row(model: ModelPlan) -> list[str]:
    size = format_size(model.size)
    if model.plan is None:
        return [model.id, size, "does not run", "", "", ""]
    speed = ""
    if model.tokens_per_second is not None:
        speed = f"{model.speed}, about {model.tokens_per_second:.2g} tokens/s"
    plan = model.plan
    return [
        model.id,
        size,
        format_size(plan.memory),
        f"{plan.ctx_size:,}",
        plan.kv_type,
        speed,
    ]
