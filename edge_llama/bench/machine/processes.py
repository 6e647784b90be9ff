"""What a server's processes take of the machine."""

from __future__ import annotations

import psutil


def resident_bytes(pid: int) -> tuple[int, int]:
    """Bytes of memory of the children of a process, and of itself."""
    server = psutil.Process(pid)
    children = server.children(recursive=True)
    return sum(child.memory_info().rss for child in children), server.memory_info().rss


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have taken."""
    server = psutil.Process(pid)
    times = [each.cpu_times() for each in (server, *server.children(recursive=True))]
    return sum(each.user + each.system for each in times)
