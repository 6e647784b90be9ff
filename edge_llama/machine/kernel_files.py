"""The one-value files in which Linux shows the machine."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str | None:
    """What a file says, without the line end; None if it is not there or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """A whole number; None if the file has none, for example `max`."""
    text = read_text(path) or ""
    return int(text) if text.lstrip("-").isdecimal() else None


def read_cpu_list(path: Path) -> frozenset[int]:
    """CPU numbers as the kernel lists them, e.g. `0-3,8`; empty if there are none."""
    ranges = [part.partition("-") for part in (read_text(path) or "").split(",") if part]
    return frozenset(
        cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)
    )
