"""The processor's name."""

from __future__ import annotations

import platform as os_platform
import re
import sys
from pathlib import Path

from edge_llama.machine.kernel_files import read_text
from edge_llama.machine.sysctl import Sysctl, read_sysctl, sysctl_text


def cpu_name(
    *, platform: str = sys.platform, root: Path = Path("/"), sysctl: Sysctl = read_sysctl
) -> str:
    """The processor's name, as well as the system tells it.

    Args:
        platform: as `sys.platform` names it.
        root: below which Linux's /proc is.
        sysctl: reads macOS's facts.
    """
    name: str | None = None
    if platform == "darwin":
        name = sysctl_text(sysctl, "machdep.cpu.brand_string")
    elif platform != "win32":
        model = re.search(r"^model name\s*:\s*(.+)$", read_text(root / "proc/cpuinfo") or "", re.M)
        name = model and model[1]
    return name or os_platform.processor() or os_platform.machine()
