"""What the figures were measured on."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata

from edge_llama.machine.cpus import choose_threads, read_cpus
from edge_llama.machine.processor import cpu_name


@dataclass(frozen=True, slots=True)
class Machine:
    """One computer and what runs on it.

    Attributes:
        cpu: the processor's name.
        cores: logical CPUs it has.
        usable_cores: CPUs this process may use.
        threads: threads of a step.
        system: e.g. `Linux x86_64`.
        llama_cpp: version of llama-cpp-python.
        edge_llama: version of this package.
    """

    cpu: str
    cores: int
    usable_cores: int
    threads: int
    system: str
    llama_cpp: str
    edge_llama: str

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.usable_cores} of {self.cores} CPUs, {self.threads} threads, "
            f"{self.system}, llama-cpp-python {self.llama_cpp}, edge-llama {self.edge_llama}"
        )


def this_machine(threads: int | None) -> Machine:
    """The machine this runs on, and the threads of a step; without a number those it would use."""
    cpus = read_cpus()
    return Machine(
        cpu=cpu_name(),
        cores=cpus.logical,
        usable_cores=cpus.allowed,
        threads=threads or choose_threads(cpus).decode,
        system=f"{platform.system()} {platform.machine()}",
        llama_cpp=metadata.version("llama-cpp-python"),
        edge_llama=metadata.version("edge-llama"),
    )
