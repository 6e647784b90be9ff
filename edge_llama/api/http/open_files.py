"""Open files: how many connections the operating system lets this process have."""

from __future__ import annotations

import sys

RESERVED = 40
"""Open files for everything but connections: engines, templates, logs, Python itself."""
MOST = 4096
FEWEST = 8


def connections_that_files_allow() -> int:
    """Connections for which there are file descriptors. Raises the soft limit as far as needed."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MOST
    return max(FEWEST, min(MOST, soft - RESERVED))
