"""Problems: what stands in a model's way on this machine, and the remedies."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from edge_llama.cli.doctor.diagnosis import Diagnosis
from edge_llama.units import format_size

LOW_DISK = 1_000_000_000
SWAP_SHARE = 0.1
SCARCE_SHARE = 0.25

INSTALL = "pip install --force-reinstall --no-cache-dir"
WHEELS = "https://abetlen.github.io/llama-cpp-python/whl"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        what: a sentence.
        remedy: what to do about it: a sentence.
        commands: for the shell; any one of them mends it.
        stops: no model can be run until it is mended.
    """

    what: str
    remedy: str
    commands: tuple[str, ...] = ()
    stops: bool = False


def find_problems(diagnosis: Diagnosis) -> list[Problem]:
    """The problems of a machine, those that stop everything first."""
    found = [
        *_llama_cpp_problems(diagnosis),
        *_cpu_problems(diagnosis),
        *_memory_problems(diagnosis),
        *_folder_problems(diagnosis),
        *_network_problems(diagnosis),
    ]
    return sorted(found, key=lambda problem: not problem.stops)


def _llama_cpp_problems(diagnosis: Diagnosis) -> Iterator[Problem]:
    llama_cpp = diagnosis.llama_cpp
    package = f"llama-cpp-python=={diagnosis.versions.llama_cpp_python}"
    compiled = f"{INSTALL} --no-binary llama-cpp-python {package}"
    for_any_cpu = f"{INSTALL} --extra-index-url {WHEELS}/cpu {package}"
    with_metal = f"{INSTALL} --extra-index-url {WHEELS}/metal {package}"
    if llama_cpp.fault is not None:
        yield Problem(
            llama_cpp.fault,
            "Install llama-cpp-python again, compiled here or prebuilt for any CPU.",
            (compiled, for_any_cpu),
            stops=True,
        )
    if (instructions := llama_cpp.instructions) is None:
        return
    if instructions.missing:
        yield Problem(
            f"llama.cpp was built for {', '.join(instructions.missing)}, which this CPU lacks: "
            "a model would end with an illegal instruction.",
            "Install llama-cpp-python again, compiled here or prebuilt for any CPU.",
            (compiled, for_any_cpu),
            stops=True,
        )
    elif instructions.unused:
        yield Problem(
            f"llama.cpp was built without {', '.join(instructions.unused)}, which this CPU has: "
            "it may be slower than it could be.",
            "Compile llama-cpp-python for this CPU.",
            (compiled,),
        )
    if llama_cpp.backend == "CPU" and diagnosis.memory.gpu_limit is not None:
        yield Problem(
            "llama.cpp was built without Metal, so this Mac's GPU is not used.",
            "Install llama-cpp-python with Metal.",
            (with_metal,),
        )


def _cpu_problems(diagnosis: Diagnosis) -> Iterator[Problem]:
    quota = diagnosis.cpus.quota
    if quota is not None and quota < 1:
        yield Problem(
            f"The control group grants {quota:g} CPUs, so that generation pauses again and again.",
            "Give the container or service at least one CPU.",
        )
    if (diagnosis.environment.wait_policy or "").lower() == "active":
        yield Problem(
            "OMP_WAIT_POLICY=active makes llama.cpp's threads burn the CPU while they wait: "
            "everything is slow as soon as another program runs too.",
            "Unset OMP_WAIT_POLICY.",
        )


def _memory_problems(diagnosis: Diagnosis) -> Iterator[Problem]:
    memory = diagnosis.memory
    scarce = memory.available < memory.usable * SCARCE_SHARE
    if scarce and diagnosis.swap_used > memory.usable * SWAP_SHARE:
        yield Problem(
            f"Memory is short: {format_size(memory.available)} are available, and "
            f"{format_size(diagnosis.swap_used)} are swapped out.",
            "Close other programs before you start a large model.",
        )
    for model in diagnosis.models:
        if model.refusal is not None and model.damaged:
            yield Problem(
                f"{model.id} cannot be run: {model.refusal}",
                "Repair it if it came from the hub, else remove it and install it again.",
                (f"edge-llama verify --repair {shlex.quote(model.id)}",),
            )
        elif model.refusal is not None:
            yield Problem(
                f"{model.id} cannot be run: {model.refusal}",
                "Choose a smaller model or quantization, or let it have more with --memory.",
            )


def _folder_problems(diagnosis: Diagnosis) -> Iterator[Problem]:
    for folder in diagnosis.folders:
        if not folder.writable:
            yield Problem(
                f"The {folder.purpose} folder {folder.path} cannot be written to.",
                "Make it writable for this user.",
            )
        elif folder.purpose == "models" and folder.free is not None and folder.free < LOW_DISK:
            yield Problem(
                f"The disk of the models folder {folder.path} is full: {format_size(folder.free)} "
                "are free.",
                "Delete what is not needed, for example with edge-llama rm.",
            )


def _network_problems(diagnosis: Diagnosis) -> Iterator[Problem]:
    for fault in diagnosis.environment.faults:
        what, _, remedy = fault.partition(". ")
        yield Problem(f"{what}, so that nothing can be downloaded.", remedy)
