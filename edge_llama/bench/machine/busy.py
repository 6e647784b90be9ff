"""How busy a machine is with what is not being measured."""

from __future__ import annotations

import asyncio

import psutil

SECONDS = 0.3

BUSY_SHARE = 0.1
"""Above it, figures are not to be trusted."""


async def busy_share() -> float:
    """The share of all CPUs' time that is taken, in a moment when nothing is being measured."""
    psutil.cpu_percent()
    await asyncio.sleep(SECONDS)
    return psutil.cpu_percent() / 100
