"""What the figures were measured on."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edge_llama.config import EngineSettings, usable_cpus


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
        load: processes that wanted a CPU in the minute before, on average; None if unknown.
    """

    cpu: str
    cores: int
    usable_cores: int
    threads: int
    system: str
    llama_cpp: str
    edge_llama: str
    load: float | None

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.usable_cores} of {self.cores} CPUs, {self.threads} threads, "
            f"{self.system}, llama-cpp-python {self.llama_cpp}, edge-llama {self.edge_llama}"
        )


def this_machine(settings: EngineSettings) -> Machine:
    """The machine this runs on, and the threads that `settings` would use."""
    return Machine(
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cpus(),
        threads=settings.threads or usable_cpus(),
        system=f"{platform.system()} {platform.machine()}",
        llama_cpp=metadata.version("llama-cpp-python"),
        edge_llama=metadata.version("edge-llama"),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def cpu_name() -> str:
    """The processor's name, as well as the system tells it."""
    system = platform.system()
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        if system == "Linux":
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        if system == "Darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.check_output(command, text=True).strip()
    return platform.processor() or platform.machine()
