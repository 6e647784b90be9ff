"""macOS's sysctl: named facts about the machine."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

Sysctl = Callable[[str], "bytes | None"]
"""Reads a value by its name, as the bytes it is kept in; None if there is no such name."""


def read_sysctl(name: str) -> bytes | None:
    """The value of a sysctl name on macOS; None elsewhere."""
    if sys.platform != "darwin":
        return None
    libc = ctypes.CDLL(None)
    size = ctypes.c_size_t(0)
    if libc.sysctlbyname(name.encode(), None, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    value = ctypes.create_string_buffer(size.value)
    if libc.sysctlbyname(name.encode(), value, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    return value.raw[: size.value]


def sysctl_int(sysctl: Sysctl, name: str) -> int | None:
    """A number, of whatever width; None if there is no such name."""
    value = sysctl(name)
    return None if value is None else int.from_bytes(value, "little")


def sysctl_text(sysctl: Sysctl, name: str) -> str | None:
    """A text; None if there is no such name."""
    value = sysctl(name)
    return None if value is None else value.rstrip(b"\0").decode("utf-8", errors="replace")
