"""Resident: what a process holds of memory, by kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Resident:
    """Resident bytes.

    Attributes:
        own: heaps and stacks, and of the KV cache what was ever written.
        mapped: pages of files, such as weights and libraries: they come when they are first read,
            and the system takes them back when it needs them. Only Linux tells them apart.
    """

    own: int
    mapped: int

    def __str__(self) -> str:
        return f"{self.own / 1e6:.1f} MB + {self.mapped / 1e6:.1f} MB of files"


def resident(processes: Iterable[psutil.Process]) -> Resident:
    """What they hold together."""
    own = mapped = 0
    for process in processes:
        memory = process.memory_info()
        files = int(getattr(memory, "shared", 0))
        own += int(memory.rss) - files
        mapped += files
    return Resident(own, mapped)
