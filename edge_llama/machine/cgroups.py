"""The control groups of this process, in which Linux keeps a container's or a service's limits."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from edge_llama.machine.kernel_files import read_text

_UNIFIED = ""  # how /proc/self/cgroup names the one hierarchy of version 2


class _Mount(NamedTuple):
    point: PurePosixPath
    top: PurePosixPath  # the group that is seen at `point`


def control_groups(controller: str, root: Path = Path("/")) -> list[Path]:
    """The folders that can limit this process: its own group first, then the group's ancestors.

    Version 1 has a hierarchy for each controller, version 2 one for all. A hybrid system mounts
    both, and a controller is in one of them.

    Args:
        controller: `memory`, `cpu` or `cpuset`.
        root: below which /proc and /sys are.

    Returns:
        Nothing where there are no control groups, which is everywhere but on Linux.
    """
    groups, mounts = _groups(root), _mounts(root)
    for hierarchy in (controller, _UNIFIED):
        if hierarchy in groups and hierarchy in mounts:
            return _lineage(root, mounts[hierarchy], groups[hierarchy])
    return []


def _groups(root: Path) -> dict[str, PurePosixPath]:
    """The group of this process by controller."""
    lines = (read_text(root / "proc/self/cgroup") or "").splitlines()
    entries = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    return {
        controller: PurePosixPath(path)
        for _, controllers, path in entries
        for controller in controllers.split(",")
    }


def _mounts(root: Path) -> dict[str, _Mount]:
    """Where the hierarchies are, by controller (the layout is in proc_pid_mountinfo(5))."""
    mounts: dict[str, _Mount] = {}
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.partition(" ")
        if kind in ("cgroup", "cgroup2"):
            fields = mount.split()
            where = _Mount(PurePosixPath(fields[4]), PurePosixPath(fields[3]))
            controllers = [_UNIFIED] if kind == "cgroup2" else options.split()[-1].split(",")
            for controller in controllers:
                mounts.setdefault(controller, where)
    return mounts


def _lineage(root: Path, mount: _Mount, group: PurePosixPath) -> list[Path]:
    try:
        below = group.relative_to(mount.top)
    except ValueError:
        # A container that is shown its group by the host's name: it sees the group at the mount.
        below = PurePosixPath()
    folder = root / mount.point.relative_to("/") / below
    return [folder, *folder.parents[: len(below.parts)]]
