"""The CPUs that this process may use, and how many threads run best on them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_llama.machine.cgroups import control_groups
from edge_llama.machine.kernel_files import read_cpu_list, read_text
from edge_llama.machine.sysctl import Sysctl, read_sysctl
from edge_llama.machine.topology import (
    Core,
    linux_cores,
    macos_cores,
    read_processor_information,
    windows_cores,
)


@dataclass(frozen=True, slots=True)
class Cpus:
    """The machine's CPUs and this process's share of them.

    Attributes:
        logical: CPUs that the operating system has.
        allowed: CPUs that this process may run on: its affinity mask, within its cpuset.
        quota: CPUs' worth of time that the control group grants; None if it does not limit it.
        physical: cores behind the allowed CPUs.
        performance: how many of those are not efficiency cores; all, if only such are allowed.
    """

    logical: int
    allowed: int
    quota: float | None
    physical: int
    performance: int


@dataclass(frozen=True, slots=True)
class Threads:
    """How many threads llama.cpp runs.

    Attributes:
        decode: for generating tokens.
        prefill: for reading prompts.
        reason: why so many, as part of a sentence.
    """

    decode: int
    prefill: int
    reason: str


def choose_threads(cpus: Cpus) -> Threads:
    """The threads that are fastest by what is known of llama.cpp on CPUs.

    - Decode: one per performance core. llama.cpp's threads wait for each other after every
      operation, so an efficiency core holds up the others: 133 tokens a second with the ten fast
      cores of an Apple chip, 76 with two of its slow ones added (PrismML-Eng/llama.cpp#33).
      Hyperthreads share their core's path to memory, which is what decode waits for. llama.cpp's
      own default leaves out both.
    - Prefill: one per core, the slow ones too. It computes, in small pieces that a fast core
      takes more of: 375 → 416 tokens a second in the same measurement. It grows with physical
      cores, little with hyperthreads (ggml-org/llama.cpp#744).
    - Never more than the quota, rounded down: when it is used up, the kernel stops some threads for
      the rest of a period and all others wait for them: 0.27 tokens a second with 8 threads on
      a quota of 4 CPUs, 12 with 4 (ollama/ollama#17916).
    - With one or two CPUs, all of them, hyperthreads or not: virtual machines often do not say,
      and one thread alone does not use all of the memory's bandwidth.

    Several sockets count as one machine. `numactl --cpunodebind=0 --membind=0` keeps a process, and
    so its threads, on one.
    """
    if cpus.allowed <= 2:
        decode = prefill = cpus.allowed
        reason = "so few CPUs are all used"
    else:
        decode, prefill = cpus.performance, cpus.physical
        reason = "one for each core"
        if decode < prefill:
            reason = "the performance cores generate, all cores read prompts"
    if cpus.quota is not None and cpus.quota < prefill:
        bound = max(1, math.floor(cpus.quota))
        decode, prefill = min(decode, bound), bound
        reason = f"the control group's quota is {cpus.quota:g} CPUs"
    return Threads(decode, prefill, reason)


def read_cpus(
    *,
    platform: str = sys.platform,
    root: Path = Path("/"),
    affinity: Callable[[], frozenset[int]] | None = None,
    sysctl: Sysctl = read_sysctl,
    processor_information: Callable[[], bytes] = read_processor_information,
) -> Cpus:
    """Read this process's CPUs.

    Args:
        platform: as `sys.platform` names it.
        root: below which Linux's /proc and /sys are.
        affinity: gives the numbers of the CPUs that this process may run on; None asks the system.
        sysctl: reads macOS's facts.
        processor_information: gives what Windows' `GetLogicalProcessorInformationEx` fills in.
    """
    if platform == "darwin":  # it has neither affinity masks nor quotas
        cores = macos_cores(sysctl)
        everything = frozenset[int]().union(*(core.cpus for core in cores))
        return _count(cores, everything, everything)
    allowed = (affinity or own_affinity)()
    if platform == "win32":
        cores = windows_cores(processor_information())
        everything = allowed.union(*(core.cpus for core in cores))
        return _count(cores, everything, allowed)
    cpuset = next(filter(None, map(_cpuset, control_groups("cpuset", root))), allowed)
    allowed = allowed & cpuset or allowed
    online = read_cpu_list(root / "sys/devices/system/cpu/online") | allowed
    quotas = [quota for group in control_groups("cpu", root) if (quota := _quota(group))]
    return _count(linux_cores(allowed, root), online, allowed, min(quotas, default=None))


def own_affinity() -> frozenset[int]:
    """The CPUs in this process's affinity mask; all, where the system has no such mask."""
    if sys.platform == "linux":
        return frozenset(os.sched_getaffinity(0))
    if sys.platform == "win32":
        import psutil

        return frozenset(psutil.Process().cpu_affinity())
    return frozenset(range(os.cpu_count() or 1))


def _count(
    cores: list[Core],
    everything: frozenset[int],
    allowed: frozenset[int],
    quota: float | None = None,
) -> Cpus:
    reachable = [core for core in cores if core.cpus & allowed]
    physical = len(reachable) or len(allowed)
    return Cpus(
        logical=len(everything),
        allowed=len(allowed),
        quota=quota,
        physical=physical,
        performance=sum(core.fast for core in reachable) or physical,
    )


def _cpuset(group: Path) -> frozenset[int]:
    """CPUs that a group, within its ancestors, is granted; empty if it does not say."""
    return read_cpu_list(group / "cpuset.cpus.effective") or read_cpu_list(
        group / "cpuset.effective_cpus"
    )


def _quota(group: Path) -> float | None:
    """CPUs' worth of time that a group may take; None for all."""
    quota, _, period = (read_text(group / "cpu.max") or "").partition(" ")
    if not quota:
        quota = read_text(group / "cpu.cfs_quota_us") or "-1"
        period = read_text(group / "cpu.cfs_period_us") or "100000"
    return None if quota in ("max", "-1") else int(quota) / int(period)
