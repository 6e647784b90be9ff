"""How much memory there is, and how much of it a model may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_llama.machine.cgroups import control_groups
from edge_llama.machine.kernel_files import read_int, read_text
from edge_llama.machine.sysctl import Sysctl, read_sysctl, sysctl_int

SHARE = 0.75
RESERVE_SHARE = 0.1
MIN_RESERVE = 256 << 20

_FILE_PAGES = ("inactive_file", "active_file")


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process can have.

    Attributes:
        total: bytes of physical memory.
        available: bytes that can be had without swapping and within the limit. Pages of files,
            such as the weights that a stopped server has left in the cache, count as available.
        limit: bytes that the control group grants; None if that is no less than the machine has.
        gpu_limit: bytes that Metal recommends to keep below, on Apple silicon; None elsewhere.
    """

    total: int
    available: int
    limit: int | None
    gpu_limit: int | None

    @property
    def usable(self) -> int:
        """Bytes of memory, were nothing else running."""
        return self.total if self.limit is None else min(self.total, self.limit)


def physical_memory() -> tuple[int, int]:
    """Bytes of memory that the machine has, and that are available."""
    import psutil

    memory = psutil.virtual_memory()
    return memory.total, memory.available


def read_memory(
    root: Path = Path("/"),
    *,
    physical: Callable[[], tuple[int, int]] = physical_memory,
    sysctl: Sysctl = read_sysctl,
) -> Memory:
    """Read the machine's memory and the limits on it.

    Args:
        root: below which Linux's /proc and /sys are.
        physical: gives the bytes in total and available.
        sysctl: reads macOS's facts.
    """
    total, available = physical()
    limits: list[int] = []
    for group in control_groups("memory", root):
        limit = _limit(group)
        if limit is not None and limit < total:
            limits.append(limit)
            available = min(available, limit - _in_use(group))
    return Memory(
        total=total,
        available=max(0, available),
        limit=min(limits, default=None),
        gpu_limit=_metal_limit(total, sysctl),
    )


def default_budget(memory: Memory) -> int:
    """Bytes that edge_llama plans with when it is not told: a share that is safe.

    It is the least of

    - three quarters of the usable memory: on a machine that happens to be idle, the rest is what
      the next program needs. An 8 GB server still runs the 8B at Q4_K_M.
    - what is available, less a tenth of the usable memory and at least 256 MB: what other programs
      use is taken off already, and this is for their ups and downs. A tenth would be too little
      for that on a machine of 2 GB; 512 MB would keep the 1B off it.
    - Metal's limit, beyond which macOS slows the GPU down or refuses.

    | | usable | available | budget |
    | --- | --- | --- | --- |
    | small server | 2 GB | 1.6 GB | 1.3 GB |
    | laptop with a browser open | 8 GB | 3 GB | 2.2 GB |
    | container on a large host | 4 GB | 3.9 GB | 3 GB |
    | virtual machine | 24 GB | 23 GB | 18 GB |
    """
    reserve = max(MIN_RESERVE, int(memory.usable * RESERVE_SHARE))
    budget = min(int(memory.usable * SHARE), memory.available - reserve)
    if memory.gpu_limit is not None:
        budget = min(budget, memory.gpu_limit)
    return max(0, budget)


def _limit(group: Path) -> int | None:
    """Bytes; above `memory.high` the kernel does not kill but stops a group to a crawl."""
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    limits = [limit for name in names if (limit := read_int(group / name)) is not None]
    return min(limits, default=None)


def _in_use(group: Path) -> int:
    """Bytes that the kernel cannot take back from a group: all but the pages of files."""
    used = read_int(group / "memory.current") or read_int(group / "memory.usage_in_bytes") or 0
    words = (read_text(group / "memory.stat") or "").split()
    stat = dict(zip(words[::2], words[1::2], strict=False))
    # Version 1 counts a group and its descendants as `total_…`, version 2 always.
    files = [stat.get(f"total_{name}", stat.get(name, "0")) for name in _FILE_PAGES]
    return max(0, used - sum(map(int, files)))


def _metal_limit(total: int, sysctl: Sysctl) -> int | None:
    """Metal's `recommendedMaxWorkingSetSize`, which Apple does not document as a number.

    Where the user has not set one, llama.cpp's logs show two thirds of the memory on Macs with up
    to 32 GB (10,922 of 16,384 MiB; 21,845 of 32,768) and three quarters on larger ones (27,648 of
    36,864 MiB; 49,152 of 65,536; 73,728 of 98,304).
    """
    if not sysctl_int(sysctl, "hw.optional.arm64"):
        return None
    if megabytes := sysctl_int(sysctl, "iogpu.wired_limit_mb"):
        return min(total, megabytes << 20)
    return total * 3 // 4 if total >= 36 << 30 else total * 2 // 3
