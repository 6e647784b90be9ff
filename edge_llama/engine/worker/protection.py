"""What keeps a runaway engine process from taking the machine with it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

SLACK = 2 * 2**30
"""Bytes above the plan: address space that is reserved and not used, such as stacks and heaps."""

OOM_SCORE = 500
"""Of 1,000: the kernel that runs out of memory ends this process before the server."""

logger = logging.getLogger("edge_llama.engine")


def limit_memory(planned: int | None, reserved: int) -> None:
    """Have the kernel refuse memory far above what was planned. Nothing where it cannot.

    What is refused ends this process, which is started again; without the limit the whole machine
    would swap. Weights that are mapped from their file do not count (setrlimit(2), RLIMIT_DATA).

    Args:
        planned: bytes that the model may take; None sets no limit.
        reserved: bytes of address space that this process sets aside.
    """
    if sys.platform != "linux":
        return
    import resource

    try:
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    except OSError as error:
        logger.debug("The kernel does not take an OOM score: %s", error)
    if planned is not None:
        limit = planned + reserved + SLACK
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
