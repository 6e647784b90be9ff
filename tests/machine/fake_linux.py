"""A folder that looks like the /proc and /sys of some Linux machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

CPUS = "sys/devices/system/cpu"
V2 = "sys/fs/cgroup"
GB = 1 << 30


class FakeLinux:
    """Args: root: an empty folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")

    def cores(self, cores: Iterable[Sequence[int]]) -> None:
        """Physical cores, each as the numbers of its CPUs."""
        online = set[int]()
        for cpus in cores:
            online.update(cpus)
            for cpu in cpus:
                siblings = ",".join(map(str, cpus))
                self.write(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list", siblings)
        self.write(f"{CPUS}/online", f"{min(online)}-{max(online)}")

    def cgroup_v2(self, group: str = "/", top: str = "/") -> None:
        """Version 2, with this process in `group`; the mount shows `top`."""
        self.write("proc/self/cgroup", f"0::{group}")
        self.write(
            "proc/self/mountinfo",
            f"24 1 0:22 / /proc rw - proc proc rw\n"
            f"31 23 0:28 {top} /{V2} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
        )

    def cgroup_v1(self, group: str = "/", top: str = "/") -> None:
        """Version 1 with an empty version 2 beside it, as on a hybrid system."""
        self.write(
            "proc/self/cgroup",
            f"4:memory:{group}\n3:cpuset:{group}\n2:cpu,cpuacct:{group}\n1:name=systemd:/\n0::/",
        )
        self.write(
            "proc/self/mountinfo",
            f"32 31 0:29 {top} /{V2}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
            f"34 31 0:31 {top} /{V2}/cpuset rw - cgroup cgroup rw,cpuset\n"
            f"35 31 0:32 {top} /{V2}/memory rw - cgroup cgroup rw,memory\n"
            f"41 31 0:38 / /{V2}/unified rw - cgroup2 cgroup2 rw",
        )
        self.write(f"{V2}/unified/cgroup.procs", 1)
