"""The cores behind the CPU numbers: which CPUs share a core, and which cores are fast."""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_llama.machine.kernel_files import read_cpu_list, read_int
from edge_llama.machine.sysctl import Sysctl, sysctl_int

SLOW_SHARE = 0.6
"""A core of less than this share of the fastest core's capacity is an efficiency core.

ARM's and Apple's small cores are at 0.3 to 0.5, while phones have fast cores of two kinds, of which
the second is at 0.7 and more.
"""

_PROCESSOR_CORE = 0  # RelationProcessorCore


@dataclass(frozen=True, slots=True)
class Core:
    """A physical core.

    Attributes:
        cpus: numbers of its logical CPUs: two or more with hyperthreading.
        fast: it is not an efficiency core.
    """

    cpus: frozenset[int]
    fast: bool


def linux_cores(cpus: frozenset[int], root: Path = Path("/")) -> list[Core]:
    """The cores of some CPUs, from sysfs; where that says nothing, each CPU is a fast core.

    Which cores are slow is told by the names of Intel's hybrid CPUs, else by `cpu_capacity`. The
    clock does not tell: the cores that turbo favours differ in it too.
    """
    devices = root / "sys/devices"
    folders = {cpu: devices / f"system/cpu/cpu{cpu}" for cpu in cpus}
    siblings = {
        cpu: (read_cpu_list(folder / "topology/thread_siblings_list") | {cpu}) & cpus
        for cpu, folder in folders.items()
    }
    capacity = {cpu: read_int(folder / "cpu_capacity") or 0 for cpu, folder in folders.items()}
    slowest_fast = max(capacity.values(), default=0) * SLOW_SHARE
    atoms = read_cpu_list(devices / "cpu_atom/cpus")
    return [
        Core(core, fast=not core & atoms and all(capacity[cpu] >= slowest_fast for cpu in core))
        for core in sorted(set(siblings.values()), key=min)
    ]


def macos_cores(sysctl: Sysctl) -> list[Core]:
    """The cores of a Mac; their CPU numbers are made up, since macOS tells counts only."""
    physical = sysctl_int(sysctl, "hw.physicalcpu") or 1
    per_core = max(1, (sysctl_int(sysctl, "hw.logicalcpu") or physical) // physical)
    fast = sysctl_int(sysctl, "hw.perflevel0.physicalcpu") or physical  # Intel Macs have no levels
    return [
        Core(frozenset(range(core * per_core, (core + 1) * per_core)), fast=core < fast)
        for core in range(physical)
    ]


def windows_cores(information: bytes) -> list[Core]:
    """The cores in what Windows' `GetLogicalProcessorInformationEx` fills in.

    Of the efficiency classes, which are all 0 on a CPU of one kind of core, the highest is fast.
    """
    cores = list(_core_records(information))
    fastest = max((efficiency_class for _, efficiency_class in cores), default=0)
    return [Core(cpus, fast=efficiency_class == fastest) for cpus, efficiency_class in cores]


def read_processor_information() -> bytes:
    """What `GetLogicalProcessorInformationEx` says of the cores on Windows; empty elsewhere."""
    if sys.platform != "win32":
        return b""
    read = ctypes.windll.kernel32.GetLogicalProcessorInformationEx
    size = ctypes.c_ulong(0)
    read(_PROCESSOR_CORE, None, ctypes.byref(size))  # fails, and sets the size that it needs
    information = ctypes.create_string_buffer(size.value)
    succeeded = read(_PROCESSOR_CORE, information, ctypes.byref(size))
    return information.raw[: size.value] if succeeded else b""


def _core_records(information: bytes) -> Iterator[tuple[frozenset[int], int]]:
    """CPUs and efficiency class of each core: PROCESSOR_RELATIONSHIP in winnt.h."""
    offset = 0
    while offset < len(information):
        relationship, size = struct.unpack_from("<II", information, offset)
        if relationship == _PROCESSOR_CORE:
            efficiency_class = information[offset + 9]
            mask, group = struct.unpack_from("<QH", information, offset + 32)
            cpus = frozenset(64 * group + bit for bit in range(64) if mask >> bit & 1)
            yield cpus, efficiency_class
        offset += size
